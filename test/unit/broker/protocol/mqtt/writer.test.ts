// SPDX-License-Identifier: Apache-2.0
// PUBLISH and acknowledgements as they go out, read back by mqtt-packet, which knows nothing of the writer.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type IPublishPacket, type Packet, parser } from 'mqtt-packet'
import { encodePublish, OutgoingPublish, PacketWriter, type ProtocolVersion } from '../../../../../src/broker/protocol/mqtt/index.ts'
import { bytesOf, text } from './recorder.ts'

const UNLIMITED = 0xffff_ffff

function parsed(version: ProtocolVersion, bytes: Buffer): Packet[] {
  const packets: Packet[] = []
  const oracle = parser({ protocolVersion: version })
  oracle.on('packet', (found) => packets.push(found))
  oracle.on('error', (error) => assert.fail(error))
  assert.equal(oracle.parse(bytes), 0, 'no byte is left over')
  return packets
}

function outgoing(fields: Partial<OutgoingPublish>): OutgoingPublish {
  return Object.assign(new OutgoingPublish(), { topic: Buffer.from('a/b') }, fields)
}

function payload(content: Buffer): Partial<OutgoingPublish> {
  return { payload: content, payloadStart: 0, payloadEnd: content.length }
}

const headers = bytesOf(`01 01 03${text('t')} 26${text('b')}${text('1')} 26${text('a')}${text('2')}`)

test('Packets of one turn stand in one buffer, in order', () => {
  const writer = new PacketWriter()
  assert.equal(writer.take().length, 0)
  assert.ok(writer.publish(4, outgoing({ qos: 1, packetId: 0x1234, dup: true, retain: true, ...payload(Buffer.from('one')) }), UNLIMITED))
  writer.ack(4, 4, 7, 0)
  writer.pingresp()
  assert.ok(writer.publish(4, outgoing({ ...payload(Buffer.alloc(70_000, 'x')) }), UNLIMITED))
  const size = writer.size
  const taken = writer.take()
  assert.equal(taken.length, size)
  assert.equal(writer.size, 0)
  const [one, ack, ping, large] = parsed(4, taken)
  assert.deepEqual([one?.cmd, ack?.cmd, ping?.cmd, large?.cmd], ['publish', 'puback', 'pingresp', 'publish'])
  const { topic, qos, dup, retain, messageId, payload: content } = one as IPublishPacket
  assert.deepEqual([topic, qos, dup, retain, messageId, String(content)], ['a/b', 1, true, true, 0x1234, 'one'])
  assert.equal((large as IPublishPacket).payload.length, 70_000)
})

test('What was taken is not written over by later turns', () => {
  const writer = new PacketWriter()
  const turns: Buffer[] = []
  for (let turn = 1; turn <= 50; turn++) {
    for (let at = 0; at < turn; at++) writer.ack(4, 4, turn, 0)
    turns.push(writer.take())
  }
  for (const [at, bytes] of turns.entries())
    assert.deepEqual(
      parsed(4, bytes).map(({ messageId }) => messageId),
      Array(at + 1).fill(at + 1),
    )
})

test('PUBLISH of 5 has the properties of its hop, then the forwarded ones unaltered', () => {
  const publish = outgoing({
    identifiers: [1, 268435455],
    messageExpirySeconds: 60,
    topicAlias: 9,
    headers: Buffer.concat([Buffer.from('xx'), headers, Buffer.from('yy')]),
    headersStart: 2,
    headersEnd: 2 + headers.length,
    payload: Buffer.from('[payload]'),
    payloadStart: 1,
    payloadEnd: 8,
  })
  const writer = new PacketWriter()
  assert.ok(writer.publish(5, publish, UNLIMITED))
  const bytes = writer.take()
  assert.ok(bytes.includes(headers))
  const [found] = parsed(5, bytes) as IPublishPacket[]
  assert.equal(String(found?.payload), 'payload')
  assert.deepEqual(
    { ...found?.properties, userProperties: { ...found?.properties?.userProperties } },
    {
      subscriptionIdentifier: [1, 268435455],
      messageExpiryInterval: 60,
      topicAlias: 9,
      payloadFormatIndicator: true,
      contentType: 't',
      userProperties: { b: '1', a: '2' },
    },
  )
})

test('PUBLISH of 3.x has no properties, whatever is set', () => {
  const writer = new PacketWriter()
  writer.publish(
    4,
    outgoing({
      identifiers: [1],
      messageExpirySeconds: 0,
      topicAlias: 1,
      headers,
      headersEnd: headers.length,
      ...payload(Buffer.from('p')),
    }),
    UNLIMITED,
  )
  assert.equal(writer.take().toString('hex'), `3006${text('a/b')}70`)
})

test('A message expiry of zero is sent, an absent one is not', () => {
  const writer = new PacketWriter()
  writer.publish(5, outgoing({ messageExpirySeconds: 0 }), UNLIMITED)
  assert.equal(writer.take().toString('hex'), `300b${text('a/b')}050200000000`)
  writer.publish(5, outgoing({}), UNLIMITED)
  assert.equal(writer.take().toString('hex'), `3006${text('a/b')}00`)
})

test('Every size of length: packets and property sections of 1 to 4 length bytes', () => {
  for (const size of [0, 1, 120, 121, 122, 123, 127, 128, 16_370, 16_383, 16_384, 2_097_151, 2_097_152]) {
    const content = Buffer.alloc(size, 'p')
    for (const version of [4, 5] as const) {
      const [found] = parsed(version, encodePublish(version, outgoing(payload(content)))?.bytes as Buffer) as IPublishPacket[]
      assert.ok(content.equals(found?.payload as Buffer), `payload of ${size}`)
    }
    const value = 'v'.repeat(Math.min(size, 65535))
    const large = bytesOf(`26${text('k')}${text(value)}`)
    const [found] = parsed(5, encodePublish(5, outgoing({ headers: large, headersEnd: large.length }))?.bytes as Buffer) as IPublishPacket[]
    assert.equal(found?.properties?.userProperties?.['k'], value)
  }
})

test('[MQTT-3.1.2-24] what is larger than the client takes is not written', () => {
  const writer = new PacketWriter()
  const publish = outgoing({ qos: 1, packetId: 1, ...payload(Buffer.alloc(100)) })
  const size = encodePublish(4, publish)?.bytes.length as number
  writer.pingresp()
  assert.equal(writer.publish(4, publish, size - 1), false)
  assert.equal(writer.size, 2)
  assert.equal(writer.publish(4, publish, size), true)
  assert.equal(writer.size, 2 + size)
})

test('One encoding serves many subscribers', () => {
  for (const version of [4, 5] as const) {
    const shared = encodePublish(
      version,
      outgoing({ qos: 1, retain: true, headers, headersEnd: headers.length, ...payload(Buffer.alloc(200, 'p')) }),
    )
    assert.ok(shared !== undefined)
    const before = Buffer.from(shared.bytes)
    const writer = new PacketWriter()
    writer.encoded(shared, 1, false)
    writer.encoded(shared, 0xfffe, true)
    const found = parsed(version, writer.take()) as IPublishPacket[]
    assert.deepEqual(
      found.map(({ messageId, dup, retain }) => [messageId, dup, retain]),
      [
        [1, false, true],
        [0xfffe, true, true],
      ],
    )
    assert.deepEqual(shared.bytes, before, 'the shared bytes stay as they are')
  }
})

test('[MQTT-3.3.1-2] a shared PUBLISH at QoS 0 has neither packet identifier nor DUP', () => {
  const shared = encodePublish(4, outgoing(payload(Buffer.from('p'))))
  assert.equal(shared?.packetIdAt, 0)
  const writer = new PacketWriter()
  writer.encoded(shared as NonNullable<typeof shared>, 5, true)
  assert.deepEqual(writer.take(), shared?.bytes)
})

test('Acknowledgements: two bytes for success, a reason in 5 only', () => {
  const first = { 4: '40', 5: '50', 6: '62', 7: '70' } as const
  for (const type of [4, 5, 6, 7] as const) {
    const writer = new PacketWriter()
    writer.ack(5, type, 0x0102, 0)
    assert.equal(writer.take().toString('hex'), `${first[type]}020102`)
    writer.ack(3, type, 0x0102, 0x97)
    assert.equal(writer.take().toString('hex'), `${first[type]}020102`)
    const reasonCode = type < 6 ? 0x10 : 0x92
    writer.ack(5, type, 0x0102, reasonCode)
    const bytes = writer.take()
    assert.equal(bytes.toString('hex'), `${first[type]}030102${reasonCode.toString(16)}`)
    assert.equal((parsed(5, bytes)[0] as { reasonCode?: number }).reasonCode, reasonCode)
  }
})
