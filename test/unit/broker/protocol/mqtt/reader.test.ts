// SPDX-License-Identifier: Apache-2.0
// The reader as a parser of a byte stream: order, splits, limits, pauses.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { READER_LIMITS } from '../../../../../src/broker/protocol/mqtt/index.ts'
import { bytesOf, CONNECT, connected, packet, type Recorded, Recorder, refusal, section, text } from './recorder.ts'

/** One of each packet that a client of the version sends. */
function conversation(version: 3 | 4 | 5): Buffer {
  const none = version === 5 ? '00' : ''
  const packets = [
    packet(0x82, '0001', none, text('a/+'), '01', text('b'), '02'),
    packet(0x30, text('a/b'), none, text('hello')),
    packet(0x33, text('a/é'), '0002', none, '70'.repeat(300)),
    packet(0x34, text('a/b'), '0003', none),
    packet(0x62, '0003'),
    packet(0x40, '0004'),
    packet(0x50, '0005'),
    packet(0x70, '0005'),
    packet(0xa2, '0006', none, text('b')),
    packet(0xc0),
  ]
  if (version === 5) {
    packets.push(packet(0x31, text(''), section('23 0001', '02 00000009', '01 01', `26${text('k')}${text('v')}`), '70'))
    packets.push(packet(0x40, '0007 10', section(`1f${text('r')}`)), packet(0xf0, '19', section(`15${text('m')}`)))
  }
  packets.push(packet(0xe0))
  return Buffer.concat([CONNECT[version], ...packets.map(bytesOf)])
}

const kinds = (calls: readonly Recorded[]): string[] => calls.map(({ call }) => call)

test('A stream means the same however it is split', () => {
  for (const version of [3, 4, 5] as const) {
    const stream = conversation(version)
    const whole = new Recorder()
    whole.reader.push(Buffer.from(stream))
    assert.equal(whole.calls.length, version === 5 ? 15 : 12)
    assert.ok(!kinds(whole.calls).includes('malformed'))
    for (let cut = 0; cut <= stream.length; cut++) {
      const split = new Recorder()
      split.reader.push(Buffer.from(stream.subarray(0, cut)))
      split.reader.push(Buffer.from(stream.subarray(cut)))
      assert.deepEqual(split.calls, whole.calls, `version ${version} cut at ${cut}`)
    }
    for (const size of [1, 2, 3, 5, 7, 64]) {
      const split = new Recorder()
      for (let at = 0; at < stream.length; at += size) split.reader.push(Buffer.from(stream.subarray(at, at + size)))
      assert.deepEqual(split.calls, whole.calls, `version ${version} in pieces of ${size}`)
    }
  }
})

test('A stream means the same when the reader pauses after every packet, at every split', () => {
  const stream = conversation(5)
  const whole = new Recorder()
  whole.reader.push(Buffer.from(stream))
  for (const size of [1, 3, 50, stream.length]) {
    const paused = new Recorder()
    let waiting = false
    paused.after = () => {
      paused.reader.pause()
      waiting = true
    }
    for (let at = 0; at < stream.length; at += size) {
      paused.reader.push(Buffer.from(stream.subarray(at, at + size)))
      // Every second chunk comes while the reader is still paused.
      if (at % (2 * size) === 0) continue
      while (waiting) {
        waiting = false
        const before = paused.calls.length
        paused.reader.resume()
        assert.ok(paused.calls.length <= before + 1, 'one packet for each resume')
      }
    }
    while (waiting) {
      waiting = false
      paused.reader.resume()
    }
    assert.deepEqual(paused.calls, whole.calls, `pieces of ${size}`)
    assert.ok(paused.reader.carriedBytes <= 1024, 'nothing large is kept')
  }
})

test('Resuming while a packet is handed over goes on in the same loop', () => {
  const recorder = new Recorder()
  recorder.after = () => {
    recorder.reader.pause()
    recorder.reader.resume()
  }
  recorder.reader.push(conversation(4))
  assert.equal(recorder.calls.length, 12)
  const split = new Recorder()
  split.after = recorder.after
  const stream = conversation(4)
  for (let at = 0; at < stream.length; at += 5) split.reader.push(Buffer.from(stream.subarray(at, at + 5)))
  assert.deepEqual(split.calls, recorder.calls)
})

test('Nothing follows the CONNECT before it is answered', () => {
  const recorder = new Recorder()
  recorder.after = ({ call }) => call === 'connect' && recorder.reader.pause()
  recorder.reader.push(conversation(4))
  assert.deepEqual(kinds(recorder.calls), ['connect'])
  recorder.reader.resume()
  assert.equal(recorder.calls.length, 12)
})

test('A paused reader takes a bounded number of bytes', () => {
  const recorder = connected(4, { keptSizeMax: 1000 })
  recorder.reader.pause()
  for (let sent = 0; sent < 1000; sent += 10) recorder.reader.push(Buffer.from('c000c000c000c000c000', 'hex'))
  assert.equal(recorder.calls.length, 0)
  recorder.reader.push(Buffer.from('c0', 'hex'))
  assert.deepEqual(recorder.calls.map(refusal), [0x97])
  assert.equal(recorder.reader.carriedBytes, 0)
})

test('A pause in the middle of a large packet does not count the part that was there before', () => {
  const recorder = connected(4, { keptSizeMax: 10 })
  const large = bytesOf(packet(0x30, text('t'), '00'.repeat(5000)))
  recorder.reader.push(large.subarray(0, 4000))
  recorder.reader.pause()
  recorder.reader.push(large.subarray(4000, 4008))
  recorder.reader.resume()
  recorder.reader.push(large.subarray(4008))
  assert.deepEqual(kinds(recorder.calls), ['publish'])
})

test('After stop nothing is handed over, in the middle of a chunk or later', () => {
  const recorder = new Recorder()
  recorder.after = () => recorder.calls.length === 3 && recorder.reader.stop()
  recorder.reader.push(conversation(4))
  recorder.reader.push(Buffer.from('c000', 'hex'))
  recorder.reader.resume()
  assert.equal(recorder.calls.length, 3)
})

test('After a problem nothing is handed over', () => {
  const recorder = connected(4)
  recorder.reader.push(Buffer.from('c000f000c000', 'hex'))
  recorder.reader.push(Buffer.from('c000', 'hex'))
  assert.deepEqual(kinds(recorder.calls), ['pingreq', 'malformed'])
})

test('[MQTT-3.1.0-1] the first packet is CONNECT, which its first byte shows', () => {
  for (let first = 0; first < 256; first++) {
    if (first === 0x10) continue
    const recorder = new Recorder()
    recorder.reader.push(Buffer.from([first]))
    assert.deepEqual(recorder.calls.map(refusal), [0x82], first.toString(16))
    assert.equal(recorder.reader.version, 0)
    assert.equal(recorder.reader.carriedBytes, 0)
  }
})

test('[MQTT-3.1.0-2] a second CONNECT is a protocol error', () => {
  const recorder = connected(5)
  recorder.reader.push(Buffer.from(CONNECT[5]))
  assert.deepEqual(recorder.calls.map(refusal), [0x82])
})

test('Packets that only servers send, and reserved types, are refused by their first byte', () => {
  const expected = { 0: 0x81, 32: 0x82, 144: 0x82, 176: 0x82, 208: 0x82, 17: 0x81, 248: 0x81 }
  for (const [first, code] of Object.entries(expected)) {
    const recorder = connected(5)
    recorder.reader.push(Buffer.from([Number(first)]))
    assert.deepEqual(recorder.calls.map(refusal), [code], first)
  }
})

test('A packet over the limit is refused by its header, before its bytes', () => {
  const limits = { packetSizeMax: 200 }
  // 200 bytes: type, two bytes of length, 197 of body.
  const exact = connected(4, limits)
  exact.reader.push(bytesOf(packet(0x30, text('t'), '00'.repeat(194))))
  assert.deepEqual(kinds(exact.calls), ['publish'])
  const over = connected(4, limits)
  over.reader.push(Buffer.from([0x30, 0xc6, 0x01]))
  assert.deepEqual(over.calls.map(refusal), [0x95])
  assert.equal(over.reader.carriedBytes, 0)
})

test('Before CONNECT is read, no more is taken than a CONNECT may have', () => {
  const recorder = new Recorder({ packetSizeMax: 10_000_000 })
  recorder.reader.push(Buffer.from([0x10]))
  recorder.reader.push(Buffer.from([0xff, 0xff]))
  assert.ok(recorder.reader.carriedBytes <= 256)
  recorder.reader.push(Buffer.from([0x0f]))
  assert.deepEqual(recorder.calls.map(refusal), [0x95])
})

test('A client that drips one large packet costs what it has sent, not what it has announced', () => {
  const recorder = connected(4)
  recorder.reader.push(Buffer.from([0x30, 0xf0, 0xff, 0x3f]))
  for (let sent = 4; sent < 100_000; sent++) {
    recorder.reader.push(Buffer.from([0x61]))
    if (sent % 997 === 0) assert.ok(recorder.reader.carriedBytes <= Math.max(256, 2 * sent + 2), `after ${sent} bytes`)
  }
  assert.equal(recorder.calls.length, 0)
})

test('3.1 allows DUP on PUBREL, SUBSCRIBE and UNSUBSCRIBE, which are sent again there; 3.1.1 and 5 do not', () => {
  const packets = [packet(0x6a, '0001'), packet(0x8a, '0001', text('a'), '00'), packet(0xaa, '0001', text('a'))].map(bytesOf)
  const recorder = connected(3)
  for (const bytes of packets) recorder.reader.push(Buffer.from(bytes))
  assert.deepEqual(kinds(recorder.calls), ['ack', 'subscribe', 'unsubscribe'])
  for (const version of [4, 5] as const) {
    for (const bytes of packets) {
      const strict = connected(version)
      strict.reader.push(Buffer.from(bytes))
      assert.deepEqual(strict.calls.map(refusal), [0x81])
    }
  }
  const wrong = connected(3)
  wrong.reader.push(bytesOf(packet(0x4a, '0001')))
  assert.deepEqual(wrong.calls.map(refusal), [0x81], 'PUBACK is never sent again')
})

test('The remaining length has at most four bytes', () => {
  const recorder = connected(4)
  recorder.reader.push(Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff]))
  assert.deepEqual(recorder.calls.map(refusal), [0x81])
  const dripped = connected(4)
  for (const byte of [0x30, 0x80, 0x80, 0x80, 0x80]) dripped.reader.push(Buffer.from([byte]))
  assert.deepEqual(dripped.calls.map(refusal), [0x81])
})

test('[MQTT-1.5.5-1] a remaining length is in its shortest form in MQTT 5; 3.x does not ask for it', () => {
  const padded = Buffer.from('c08000', 'hex')
  const recorder4 = connected(4)
  recorder4.reader.push(Buffer.from(padded))
  assert.deepEqual(kinds(recorder4.calls), ['pingreq'])
  const recorder5 = connected(5)
  recorder5.reader.push(Buffer.from(padded))
  assert.deepEqual(recorder5.calls.map(refusal), [0x81])
  for (const version of [4, 5] as const) {
    const connect = CONNECT[version]
    const recorder = new Recorder()
    recorder.reader.push(Buffer.concat([Buffer.from([0x10, (connect[1] as number) | 0x80, 0]), connect.subarray(2)]))
    assert.equal(refusal(recorder.calls[0]), version === 5 ? 0x81 : undefined)
  }
})

test('Limits that are left alone are those of the overload rules', () => {
  assert.ok(READER_LIMITS.topicLevelsMax <= 256 && READER_LIMITS.topicSizeMax <= 4096 && READER_LIMITS.packetSizeMax <= 2 * 1024 * 1024)
})

test('What a packet carries outlives the chunk it came in', () => {
  const recorder = new Recorder()
  const chunk = bytesOf(
    packet(0x10, text('MQTT'), '05 c6 0000 00', text('c'), section(`03${text('t')}`), text('w'), text('gone'), text('u'), text('p')),
  )
  recorder.reader.push(chunk)
  chunk.fill(0xff)
  const [call] = recorder.calls
  assert.ok(call?.call === 'connect')
  assert.deepEqual(call.packet.will?.payload, Buffer.from('gone'))
  assert.deepEqual(call.packet.will?.headers, bytesOf(`03${text('t')}`))
  assert.deepEqual(call.packet.password, Buffer.from('p'))
})
