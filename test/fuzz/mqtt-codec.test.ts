// SPDX-License-Identifier: Apache-2.0
// The codec against mqtt-packet, and against bytes that nobody should send. FUZZ_SEED and FUZZ_RUNS choose other and longer runs.
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { generate, type IPublishPacket, type Packet } from 'mqtt-packet'
import { encodePublish, OutgoingPublish, type ProtocolVersion } from '../../src/broker/protocol/mqtt/index.ts'
import {
  ack,
  binary,
  encoded,
  forwarded,
  packetId,
  publish,
  record,
  subscribe,
  topic,
  uint16,
  uint32,
  version,
} from '../unit/broker/protocol/mqtt/client-packets.ts'
import { comparable, comparableOracle, forwardedByOracle, oracleReads } from '../unit/broker/protocol/mqtt/oracle.ts'
import { connected, type Recorded, type RecordedPublish, Recorder } from '../unit/broker/protocol/mqtt/recorder.ts'

const seed = Number(process.env['FUZZ_SEED'] ?? 20261120)
const numRuns = Number(process.env['FUZZ_RUNS'] ?? 1500)

function check<Values extends [unknown, ...unknown[]]>(context: TestContext, property: fc.IProperty<Values>): void {
  context.diagnostic(`FUZZ_SEED=${seed} FUZZ_RUNS=${numRuns}`)
  fc.assert(property, { seed, numRuns })
}

/** A recorder that takes `bytes` next. */
const recorderFor = (level: ProtocolVersion, bytes: Buffer): Recorder => (bytes[0] === 0x10 ? new Recorder() : connected(level))

function read(level: ProtocolVersion, bytes: Buffer): Recorded[] {
  const recorder = recorderFor(level, bytes)
  recorder.reader.push(Buffer.from(bytes))
  return recorder.calls
}

// Hostile bytes.

type Mutation = readonly [kind: number, at: number, byte: number]
const mutations = fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.nat(), fc.integer({ min: 0, max: 255 })), {
  minLength: 1,
  maxLength: 4,
})

function mutated(bytes: Buffer, list: readonly Mutation[]): Buffer {
  let result = Buffer.from(bytes)
  for (const [kind, place, byte] of list) {
    const at = place % (result.length + 1)
    if (kind === 0) result = Buffer.concat([result.subarray(0, at), result.subarray(at + 1)])
    else if (kind === 1) result = Buffer.concat([result.subarray(0, at), Buffer.from([byte]), result.subarray(at)])
    else if (kind === 2) result = result.subarray(0, at)
    else if (kind === 3 && at < result.length) result[at] = byte
    else if (at < result.length) result[at] = (result[at] as number) ^ (1 << (byte & 7))
  }
  return result
}

/** The body behind the fixed header of one packet, which has at most two bytes of length here. */
const bodyStart = (bytes: Buffer): number => ((bytes[1] as number) > 0x7f ? 3 : 2)

function framed(first: number, body: Buffer): Buffer {
  const length = body.length < 128 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7]
  return Buffer.concat([Buffer.from([first, ...length]), body])
}

/** 3.1 lets a client announce a user name or password and leave it out; mqtt-packet does not. */
function isAnnouncedOnly(call: Recorded, bytes: Buffer): boolean {
  if (call.call !== 'connect' || call.packet.version !== 3) return false
  const flags = bytes[bodyStart(bytes) + 9] as number
  return ((flags & 0x80) !== 0) !== (call.packet.userName !== undefined) || ((flags & 0x40) !== 0) !== (call.packet.password !== undefined)
}

test('What mqtt-packet generates is accepted, with the same values', (context) => {
  check(
    context,
    fc.property(encoded, ({ level, bytes }) => {
      const calls = read(level, bytes)
      assert.equal(calls.length, 1)
      const [call] = calls as [Recorded]
      assert.notEqual(call.call, 'malformed', JSON.stringify(call))
      assert.deepEqual(comparable(call, level), comparableOracle(oracleReads(level, bytes) as Packet, level))
    }),
  )
})

test('What is accepted of mutated packets, mqtt-packet reads the same', (context) => {
  let acceptedCount = 0
  check(
    context,
    fc.property(encoded, mutations, fc.boolean(), ({ level, bytes }, list, keepFirst) => {
      const body = mutated(bytes.subarray(bodyStart(bytes)), list)
      const first = keepFirst ? (bytes[0] as number) : (bytes[0] as number) ^ ((list[0]?.[2] ?? 0) & 0x0f)
      const packet = framed(first, body)
      const [call] = read(level, packet)
      assert.ok(call !== undefined, 'a whole packet always comes to something')
      if (call.call === 'malformed' || isAnnouncedOnly(call, packet)) return
      acceptedCount++
      const found = oracleReads(level, packet)
      assert.ok(found !== undefined && !(found instanceof Error), `accepted ${packet.toString('hex')}, mqtt-packet says ${found}`)
      assert.deepEqual(comparable(call, level), comparableOracle(found, level))
    }),
  )
  assert.ok(acceptedCount > numRuns / 50, `${acceptedCount} mutated packets were accepted: too few to mean anything`)
})

test('What a packet means does not depend on the bytes around it', (context) => {
  check(
    context,
    fc.property(encoded, mutations, ({ level, bytes }, list) => {
      const packet = framed(bytes[0] as number, mutated(bytes.subarray(bodyStart(bytes)), list))
      const alone = read(level, packet)
      for (const around of [0x00, 0xff, 0x2b]) {
        const frame = Buffer.alloc(packet.length + 64, around)
        packet.copy(frame, 32)
        const recorder = recorderFor(level, packet)
        recorder.after = () => recorder.reader.stop()
        recorder.reader.push(frame.subarray(32))
        assert.deepEqual(recorder.calls, alone)
      }
    }),
  )
})

test('Bytes of any kind, in chunks of any size, neither throw nor are they kept beyond the limits', (context) => {
  const packetSizeMax = 512
  const chunk = fc.oneof(
    fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes)),
    encoded.map(({ bytes }) => bytes),
    fc.tuple(encoded, mutations).map(([{ bytes }, list]) => mutated(bytes, list)),
  )
  check(
    context,
    fc.property(version, fc.array(chunk, { maxLength: 12 }), fc.boolean(), fc.boolean(), (level, chunks, isNew, pauses) => {
      const limits = { packetSizeMax, keptSizeMax: 1024 }
      const recorder = isNew ? new Recorder(limits) : connected(level, limits)
      let isEnded = false
      recorder.after = ({ call }) => {
        assert.ok(!isEnded, 'nothing follows a problem')
        isEnded = call === 'malformed'
        if (pauses) recorder.reader.pause()
      }
      for (const [at, bytes] of chunks.entries()) {
        recorder.reader.push(Buffer.from(bytes))
        if (at % 2 === 0) recorder.reader.resume()
        assert.ok(recorder.reader.carriedBytes <= 2 * (packetSizeMax + 1024 + bytes.length), 'bounded')
      }
    }),
  )
})

test('A stream is read the same whole and in random pieces', (context) => {
  const stream = fc.tuple(
    version,
    fc.array(fc.oneof(publish, ack, subscribe), { maxLength: 8 }),
    fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
  )
  check(
    context,
    fc.property(stream, ([level, packets, sizes]) => {
      const bytes = Buffer.concat(packets.map((packet) => generate(packet as unknown as Packet, { protocolVersion: level })))
      const whole = connected(level)
      whole.reader.push(Buffer.from(bytes))
      const pieces = connected(level)
      for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const size = sizes[turn % sizes.length] as number
        pieces.reader.push(Buffer.from(bytes.subarray(at, at + size)))
        at += size
      }
      assert.equal(whole.calls.length, packets.length)
      assert.deepEqual(pieces.calls, whole.calls)
    }),
  )
})

test('What is written as PUBLISH, mqtt-packet and the reader read the same', (context) => {
  const outgoing = fc.record({
    topic,
    qos: fc.constantFrom(0, 1, 2),
    dup: fc.boolean(),
    retain: fc.boolean(),
    packetId,
    messageExpirySeconds: fc.oneof(fc.constant(-1), uint32),
    topicAlias: uint16,
    identifiers: fc.array(fc.integer({ min: 1, max: 268_435_455 }), { maxLength: 2 }),
    payload: fc.oneof(binary, fc.constant(Buffer.alloc(300, 'p'))),
    properties: record(forwarded),
  })
  check(
    context,
    fc.property(version, outgoing, (level, fields) => {
      const source = generate(
        { cmd: 'publish', topic: 't', qos: 0, dup: false, retain: false, payload: '', properties: fields.properties },
        { protocolVersion: 5 },
      )
      const headers = Buffer.from((read(5, source)[0] as RecordedPublish).headers, 'hex')
      const dup = fields.dup && fields.qos > 0
      const message = Object.assign(new OutgoingPublish(), fields, {
        topic: Buffer.from(fields.topic),
        dup,
        headers,
        headersEnd: headers.length,
        payloadEnd: fields.payload.length,
      })
      const bytes = encodePublish(level, message)?.bytes as Buffer
      const found = oracleReads(level, bytes)
      const is5 = level === 5
      const expected = {
        call: 'publish',
        dup,
        qos: fields.qos,
        retain: fields.retain,
        topic: fields.topic,
        packetId: fields.qos === 0 ? 0 : fields.packetId,
        topicAlias: is5 ? fields.topicAlias : 0,
        messageExpirySeconds: is5 ? fields.messageExpirySeconds : -1,
        payload: fields.payload.toString('hex'),
        headers: is5 ? forwardedByOracle(fields.properties as IPublishPacket['properties']) : forwardedByOracle(undefined),
      }
      const identifiers = (found as IPublishPacket).properties?.subscriptionIdentifier ?? []
      assert.deepEqual([identifiers].flat(), is5 ? fields.identifiers : [])
      const own = comparableOracle(found as Packet, level)
      assert.deepEqual({ ...own, headers: undefined }, { ...expected, headers: undefined })
      // A client would not send subscription identifiers; without them the reader reads back what was written.
      const [call] = read(level, encodePublish(level, Object.assign(message, { identifiers: [] }))?.bytes as Buffer)
      assert.deepEqual(comparable(call as Recorded, level), { ...own })
    }),
  )
})
