// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { BlockList, isIP } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { isInNetwork, parseIpAddress, parseIpNetwork } from '#base/ip-network'

const isIn = (network: string, address: string): boolean => {
  const [parsed, candidate] = [parseIpNetwork(network), parseIpAddress(address)]
  assert.ok(parsed !== undefined && candidate !== undefined, `${network} and ${address} can be read`)
  return isInNetwork(parsed, candidate)
}

test('addresses belong to the networks that hold them, IPv4 also in its mapped form', () => {
  assert.equal(isIn('192.0.2.0/24', '192.0.2.255'), true)
  assert.equal(isIn('192.0.2.0/24', '192.0.3.0'), false)
  assert.equal(isIn('192.0.2.0/24', '::ffff:192.0.2.1'), true)
  assert.equal(isIn('192.0.2.1', '192.0.2.1'), true)
  assert.equal(isIn('0.0.0.0/0', '203.0.113.9'), true)
  assert.equal(isIn('0.0.0.0/0', '2001:db8::1'), false)
  assert.equal(isIn('2001:db8::/33', '2001:db8:7fff::1'), true)
  assert.equal(isIn('2001:db8::/33', '2001:db8:8000::1'), false)
  assert.equal(isIn('::1', '::1'), true)
})

for (const text of [
  '',
  '1.2.3',
  '1.2.3.256',
  '01.2.3.4',
  '1.2.3.4/33',
  '1.2.3.4/24',
  '1.2.3.4/',
  '::1/129',
  ':::',
  '1:2:3',
  '1::2::3',
  'g::',
  '12345::',
  '1:2:3:4:5:6:7:8:9',
  'host',
]) {
  test(`'${text}' is no network`, () => assert.equal(parseIpNetwork(text), undefined))
}

test('what is an address is what Node takes for one', () => {
  const texts = fc.oneof(fc.ipV4(), fc.ipV6(), fc.stringMatching(/^[0-9a-f:.]{1,20}$/))
  fc.assert(
    fc.property(texts, (text) => assert.equal(parseIpAddress(text) !== undefined, isIP(text) !== 0, text)),
    { numRuns: 3000 },
  )
})

test('membership agrees with that of Node for random networks and addresses', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.integer({ min: 0, max: 32 }),
      (base, other, bits) => {
        const masked = base.map((byte, at) => byte & (0xff00 >> Math.min(Math.max(bits - at * 8, 0), 8)))
        // Near the network more often than chance would have it.
        const near = masked.map((byte, at) => (at < 2 ? byte : (other[at] as number)))
        const [network, address] = [masked.join('.'), near.join('.')]
        const list = new BlockList()
        list.addSubnet(network, bits, 'ipv4')
        assert.equal(isIn(`${network}/${bits}`, address), list.check(address))
      },
    ),
  )
})
