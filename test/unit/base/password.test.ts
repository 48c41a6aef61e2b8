// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  formatStoredPassword,
  hashForScram,
  hashWithScrypt,
  ITERATIONS_MIN,
  parseStoredPassword,
  type StoredPassword,
  verifyPassword,
} from '#base/password'
import { saslprep } from '#base/saslprep'
import { NodeHashing } from '#runtime'

const hashing = new NodeHashing(16)
const SALT = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')
const stored = async (): Promise<readonly StoredPassword[]> => [
  await hashWithScrypt(hashing, Buffer.from('pencil'), SALT),
  await hashForScram(hashing, 'sha256', Buffer.from('pencil'), SALT, ITERATIONS_MIN),
  await hashForScram(hashing, 'sha512', Buffer.from('pencil'), SALT, ITERATIONS_MIN),
]

test('a stored password accepts its own password and no other, in each form and after it was written and read', async () => {
  for (const form of await stored()) {
    const text = formatStoredPassword(form)
    const read = parseStoredPassword(text)
    assert.ok(read !== undefined, text)
    assert.equal(formatStoredPassword(read), text)
    assert.equal(await verifyPassword(hashing, Buffer.from('pencil'), read), true, text)
    for (const wrong of ['', 'penci', 'pencil ', 'Pencil']) assert.equal(await verifyPassword(hashing, Buffer.from(wrong), read), false)
  }
})

test('RFC 7914 section 12: scrypt of the specification', async () => {
  const text = `scrypt$16384$8$1$${Buffer.from('SodiumChloride').toString('base64')}$cCO9yzr9c0hGHAbNgf049/2o+7qQT44+qbVD9lRdofLVQylVYT86UnULRQ==`
  const rfc = Buffer.from(
    '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887',
    'hex',
  )
  const key = await hashing.scrypt(
    Buffer.from('pleaseletmein'),
    Buffer.from('SodiumChloride'),
    { rounds: 16_384, blockSize: 8, parallel: 1 },
    64,
  )
  assert.deepEqual(key, rfc)
  assert.equal(parseStoredPassword(text)?.kind, 'scrypt')
})

const REFUSED = [
  '',
  'secret',
  'scrypt$1000$8$1$AAAA$AAAAAAAAAAAAAAAAAAAAAA==',
  'scrypt$1$8$1$AAAA$AAAAAAAAAAAAAAAAAAAAAA==',
  'scrypt$2097152$8$1$AAAA$AAAAAAAAAAAAAAAAAAAAAA==',
  'scrypt$1048576$32$1$AAAA$AAAAAAAAAAAAAAAAAAAAAA==',
  'scrypt$16384$0$1$AAAA$AAAAAAAAAAAAAAAAAAAAAA==',
  'scrypt$16384$8$99$AAAA$AAAAAAAAAAAAAAAAAAAAAA==',
  'scrypt$16384$8$1$$AAAAAAAAAAAAAAAAAAAAAA==',
  'scrypt$16384$8$1$AAAA$AAAA',
  'SCRAM-SHA-1$4096:AAAA$AAAA:AAAA',
  `SCRAM-SHA-256$4095:AAAA$${Buffer.alloc(32).toString('base64')}:${Buffer.alloc(32).toString('base64')}`,
  `SCRAM-SHA-256$4096:AAAA$${Buffer.alloc(31).toString('base64')}:${Buffer.alloc(32).toString('base64')}`,
  `SCRAM-SHA-512$4096:AAAA$${Buffer.alloc(32).toString('base64')}:${Buffer.alloc(64).toString('base64')}`,
]
for (const text of REFUSED) {
  test(`'${text.slice(0, 50)}' is no stored password`, () => assert.equal(parseStoredPassword(text), undefined))
}

test('RFC 4013 section 3: the examples of SASLprep', () => {
  assert.equal(saslprep('I\u00adX'), 'IX')
  assert.equal(saslprep('user'), 'user')
  assert.equal(saslprep('USER'), 'USER')
  assert.equal(saslprep('\u00aa'), 'a')
  assert.equal(saslprep('\u2168'), 'IX')
  assert.equal(saslprep('\u0007'), undefined)
})

test('RFC 5802 section 5.1: passwords that are prepared alike are the same for SCRAM', async () => {
  const form = await hashForScram(hashing, 'sha256', Buffer.from('IX\u00a0'), SALT, ITERATIONS_MIN)
  assert.equal(await verifyPassword(hashing, Buffer.from('\u2168 '), form), true)
  const binary = Buffer.from([0xff, 0xfe, 0x00])
  assert.equal(await verifyPassword(hashing, binary, await hashForScram(hashing, 'sha256', binary, SALT, ITERATIONS_MIN)), true)
})
