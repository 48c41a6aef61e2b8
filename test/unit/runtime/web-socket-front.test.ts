// SPDX-License-Identifier: Apache-2.0
// WebSocket below MQTT (MQTT 5 section 6): what is upgraded, what is refused, and how frames become bytes.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, it, mock, type TestContext } from 'node:test'
import { WebSocket } from 'ws'
import type { CloseReason, WebSocketOptions } from '#base/port/network'
import { Bench, WEB_SOCKET } from './channel-bench.ts'

const open = (context: TestContext, options: Partial<WebSocketOptions> = {}, lines: string[] = []): Promise<Bench> =>
  Bench.open(context, { transport: 'ws', host: '127.0.0.1', port: 0, webSocket: { ...WEB_SOCKET, ...options } }, lines)

interface Answer {
  readonly status: number
  readonly head: string
}

/** Sends one request and reads the answer until the server closes, or has upgraded. */
async function ask(bench: Bench, request: string, headers: Readonly<Record<string, string | undefined>> = {}): Promise<Answer> {
  const all = { Host: 'server', ...headers }
  const lines = Object.entries(all).map(([name, value]) => (value === undefined ? '' : `${name}: ${value}\r\n`))
  const socket = await bench.dialSocket()
  let head = ''
  socket.on('data', (chunk) => {
    head += chunk.toString('latin1')
  })
  socket.write(`${request} HTTP/1.1\r\n${lines.join('')}\r\n`)
  while (!head.includes('\r\n\r\n')) await once(socket, 'data')
  const status = Number(head.split(' ')[1])
  if (status !== 101 && !socket.readableEnded) await once(socket, 'end')
  return { status, head }
}

const UPGRADE = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  'Sec-WebSocket-Protocol': 'mqtt',
} as const

describe('a request for a WebSocket', () => {
  it('[MQTT-6.0.0-3] [MQTT-6.0.0-4] the subprotocol mqtt must be offered, and is chosen', async (context) => {
    const bench = await open(context)
    const chosen = async (protocols: string | undefined): Promise<string> => {
      const { status, head } = await ask(bench, 'GET /mqtt', { ...UPGRADE, 'Sec-WebSocket-Protocol': protocols })
      return status === 101 ? (/^sec-websocket-protocol: (.*)\r$/im.exec(head)?.[1] ?? 'none') : String(status)
    }
    assert.equal(await chosen('mqtt'), 'mqtt')
    assert.equal(await chosen('mqttv3.1, mqtt'), 'mqtt')
    assert.equal(await chosen('mqttv3.1'), 'mqttv3.1')
    for (const refused of [undefined, 'chat', 'MQTT', 'mqtt5', 'mqtt,,x']) assert.equal(await chosen(refused), '400', refused)
  })

  it('only the one path is served, whatever the query', async (context) => {
    const bench = await open(context, { path: '/a/b' })
    assert.equal((await ask(bench, 'GET /a/b', UPGRADE)).status, 101)
    assert.equal((await ask(bench, 'GET /a/b?token=1', UPGRADE)).status, 101)
    for (const path of ['/', '/a', '/a/b/', '/A/b', '//a/b']) assert.equal((await ask(bench, `GET ${path}`, UPGRADE)).status, 404, path)
  })

  it('without an upgrade it is told what is needed', async (context) => {
    const bench = await open(context)
    const { status, head } = await ask(bench, 'GET /mqtt')
    assert.equal(status, 426)
    assert.match(head, /^upgrade: websocket\r$/im)
    assert.equal((await ask(bench, 'GET /other')).status, 404)
    assert.equal((await ask(bench, 'POST /mqtt', { 'Content-Length': '0' })).status, 426)
  })

  it('a handshake that RFC 6455 does not allow is refused', async (context) => {
    const bench = await open(context)
    assert.equal((await ask(bench, 'POST /mqtt', UPGRADE)).status, 405)
    assert.equal((await ask(bench, 'GET /mqtt', { ...UPGRADE, 'Sec-WebSocket-Key': 'short' })).status, 400)
    assert.equal((await ask(bench, 'GET /mqtt', { ...UPGRADE, 'Sec-WebSocket-Version': '7' })).status, 400)
    assert.equal((await ask(bench, 'GET /mqtt', { ...UPGRADE, Upgrade: 'h2c' })).status, 400)
  })

  it('a page of an origin that is not in the list is refused; a client that names none is let in', async (context) => {
    const lines: string[] = []
    const bench = await open(context, { origins: ['https://app.example'] }, lines)
    assert.equal((await ask(bench, 'GET /mqtt', { ...UPGRADE, Origin: 'https://app.example' })).status, 101)
    assert.equal((await ask(bench, 'GET /mqtt', { ...UPGRADE, Origin: 'https://APP.example' })).status, 101)
    assert.equal((await ask(bench, 'GET /mqtt', UPGRADE)).status, 101)
    for (const origin of ['https://evil.example', 'http://app.example', 'https://app.example:8443', 'null', '']) {
      assert.equal((await ask(bench, 'GET /mqtt', { ...UPGRADE, Origin: origin })).status, 403, origin)
    }
    assert.equal(lines.length, 1, 'refusals within a minute are one line')
    assert.match(lines[0] as string, /^info refused a WebSocket .*"status":403/)
    const any = await open(context)
    assert.equal((await ask(any, 'GET /mqtt', { ...UPGRADE, Origin: 'https://evil.example' })).status, 101)
  })

  it('compression is never agreed on', async (context) => {
    const { status, head } = await ask(await open(context), 'GET /mqtt', {
      ...UPGRADE,
      'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits',
    })
    assert.equal(status, 101)
    assert.doesNotMatch(head, /extensions/i)
  })

  it('what is no HTTP, or too long, is closed', async (context) => {
    const bench = await open(context)
    for (const bytes of ['\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00', `GET /mqtt HTTP/1.1\r\nX: ${'x'.repeat(64 * 1024)}\r\n`]) {
      const socket = await bench.dialSocket()
      socket.resume().write(bytes)
      await new Promise((resolve) => socket.once('close', resolve))
    }
    await bench.barrier()
    assert.equal(bench.unclaimed, 0)
  })

  it('a request that does not come to its end is closed after 15 seconds, one that was upgraded is not', async (context) => {
    mock.timers.enable({ apis: ['setTimeout'] })
    context.after(() => mock.timers.reset())
    const bench = await open(context)
    const { stream, peer } = await bench.pair()
    const silent = await bench.dialSocket()
    const slow = await bench.dialSocket()
    slow.write('GET /mqtt HTTP/1.1\r\nHost:')
    const closed = [silent, slow].map((socket) => once(socket.resume(), 'close'))
    await bench.barrier()
    mock.timers.tick(14_999)
    await bench.barrier()
    assert.deepEqual([silent.closed, slow.closed], [false, false])
    mock.timers.tick(1)
    await Promise.all(closed)
    stream.write('still here')
    await peer.until(() => peer.received === 'still here')
  })

  it('requests in the air when the listener stops are refused', async (context) => {
    const bench = await open(context)
    const socket = await bench.dialSocket()
    await bench.barrier()
    await bench.listener.stop()
    const lines = Object.entries(UPGRADE).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.write(`GET /mqtt HTTP/1.1\r\nHost: server\r\n${lines.join('')}\r\n`)
    assert.match(String((await once(socket, 'data'))[0]), /^HTTP\/1\.1 503 /)
  })
})

/** A frame as a client sends it, with a mask of zeros: {final, opcode, length}, mask, payload. */
function frame(
  opcode: number,
  payload: Buffer | string,
  { final = true, claimedLength }: { final?: boolean; claimedLength?: number } = {},
): Buffer {
  const bytes = Buffer.from(payload)
  const length = claimedLength ?? bytes.length
  const head = Buffer.alloc(length < 126 ? 2 : 10)
  head[0] = (final ? 0x80 : 0) | opcode
  if (length < 126) head[1] = 0x80 | length
  else {
    head[1] = 0x80 | 127
    head.writeBigUInt64BE(BigInt(length), 2)
  }
  return Buffer.concat([head, Buffer.alloc(4), bytes])
}

const CONTINUATION = 0
const TEXT = 1
const BINARY = 2
const CLOSE = 8
const PING = 9
const PONG = 10

interface Frame {
  readonly opcode: number
  readonly payload: Buffer
}

/** The next short frame of the server, which masks none. */
async function nextFrame(socket: Socket): Promise<Frame> {
  const [bytes] = (await once(socket, 'data')) as [Buffer]
  return { opcode: (bytes[0] as number) & 0x0f, payload: bytes.subarray(2, 2 + (bytes[1] as number)) }
}

describe('WebSocket frames', () => {
  /** A connection that has been upgraded by hand, so that its frames can be anything. */
  const upgraded = async (context: TestContext, options: Partial<WebSocketOptions> = {}) => {
    const bench = await open(context, options)
    const arrival = bench.arrival()
    const socket = await bench.dialSocket()
    const lines = Object.entries(UPGRADE).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.write(`GET /mqtt HTTP/1.1\r\nHost: server\r\n${lines.join('')}\r\n`)
    assert.match(String((await once(socket, 'data'))[0]), /^HTTP\/1\.1 101 /)
    return { bench, socket, peer: await arrival }
  }

  it('[MQTT-6.0.0-2] the bytes are one stream, whatever the frames: one byte each, fragments, many in one write', async (context) => {
    const { socket, peer } = await upgraded(context)
    const single = Array.from('one by one ', (byte) => frame(BINARY, byte))
    const fragments = [
      frame(BINARY, 'in ', { final: false }),
      frame(CONTINUATION, '', { final: false }),
      frame(PING, 'between'),
      frame(CONTINUATION, 'parts '),
    ]
    socket.write(Buffer.concat([...single, ...fragments, frame(BINARY, ''), frame(BINARY, 'whole')]))
    await peer.until(() => peer.received === 'one by one in parts whole')
  })

  it('a frame that arrives byte by byte is one message', async (context) => {
    const { socket, peer } = await upgraded(context)
    for (const byte of frame(BINARY, 'slowly')) {
      socket.write(Buffer.from([byte]))
      await new Promise(setImmediate)
    }
    await peer.until(() => peer.received === 'slowly')
  })

  it('[MQTT-6.0.0-1] a text frame ends the connection with 1003, and nothing after it is read', async (context) => {
    const { socket, peer } = await upgraded(context)
    socket.write(Buffer.concat([frame(BINARY, 'good'), frame(TEXT, 'bad'), frame(BINARY, 'late')]))
    const { opcode, payload } = await nextFrame(socket)
    assert.deepEqual([opcode, payload.readUInt16BE(0)], [CLOSE, 1003])
    socket.write(frame(CLOSE, payload))
    await peer.until(() => peer.closes.length > 0)
    assert.equal(peer.received, 'good')
    assert.match(String(peer.closes[0]), /text frame/)
  })

  it('a message over the bound ends the connection with 1009 as soon as its length is known', async (context) => {
    const { socket, peer } = await upgraded(context, { messageBytesMax: 1000 })
    socket.write(Buffer.concat([frame(BINARY, 'x'.repeat(1000)), frame(BINARY, '', { claimedLength: 1001 })]))
    const { opcode, payload } = await nextFrame(socket)
    assert.deepEqual([opcode, payload.readUInt16BE(0)], [CLOSE, 1009])
    socket.write(frame(CLOSE, payload))
    await peer.until(() => peer.closes.length > 0)
    assert.equal(peer.received.length, 1000)
  })

  it('the bound counts all fragments of a message, and their number is bounded too', async (context) => {
    const large = await upgraded(context, { messageBytesMax: 1000 })
    large.socket.write(Buffer.concat([frame(BINARY, 'x'.repeat(600), { final: false }), frame(CONTINUATION, 'x'.repeat(600))]))
    assert.equal((await nextFrame(large.socket)).payload.readUInt16BE(0), 1009)
    const many = await upgraded(context, { messageBytesMax: 100_000 })
    const bomb = Array.from({ length: 300 }, (_, at) => frame(at === 0 ? BINARY : CONTINUATION, 'x', { final: false }))
    many.socket.write(Buffer.concat(bomb))
    assert.equal((await nextFrame(many.socket)).payload.readUInt16BE(0), 1008)
  })

  it('frames that break RFC 6455 end the connection with 1002', async (context) => {
    const unmasked = Buffer.from([0x82, 1, 0x78])
    for (const bytes of [unmasked, frame(3, 'x'), frame(CONTINUATION, 'x'), frame(PING, 'x', { final: false })]) {
      const { socket, peer } = await upgraded(context)
      socket.write(bytes)
      const { opcode, payload } = await nextFrame(socket)
      assert.deepEqual([opcode, payload.readUInt16BE(0)], [CLOSE, 1002])
      socket.destroy()
      await peer.until(() => peer.closes.length > 0)
      assert.equal(peer.received, '')
    }
  })

  it('a peer that has broken the rules and then says nothing is closed two seconds later', async (context) => {
    const { socket, peer } = await upgraded(context)
    mock.timers.enable({ apis: ['setTimeout'] })
    context.after(() => mock.timers.reset())
    socket.write(frame(TEXT, 'bad'))
    await nextFrame(socket)
    assert.equal(peer.closes.length, 0)
    mock.timers.tick(2_000)
    await peer.until(() => peer.closes.length > 0)
  })

  it('a ping is answered with its payload', async (context) => {
    const { socket } = await upgraded(context)
    socket.write(frame(PING, 'hello'))
    const { opcode, payload } = await nextFrame(socket)
    assert.deepEqual([opcode, payload.toString()], [PONG, 'hello'])
  })

  it('pings of a peer that does not read are not answered: the answers would fill the memory', async (context) => {
    const { socket, peer } = await upgraded(context)
    socket.pause()
    while (peer.channel.queuedBytes() < 1_000_000) peer.channel.write(Buffer.alloc(100_000))
    const queued = peer.channel.queuedBytes()
    socket.write(Buffer.concat(Array.from({ length: 10_000 }, () => frame(PING, 'x'.repeat(100)))))
    socket.write(frame(BINARY, 'after'))
    await peer.until(() => peer.received === 'after')
    assert.ok(peer.channel.queuedBytes() <= queued)
  })

  it('the owner closes with a code that says why', async (context) => {
    const codes: readonly (readonly [CloseReason | undefined, number])[] = [
      [undefined, 1000],
      ['done', 1000],
      ['goingAway', 1001],
      ['protocolError', 1002],
      ['policy', 1008],
      ['tooLarge', 1009],
      ['failure', 1011],
      ['tryLater', 1013],
    ]
    const bench = await open(context)
    for (const [reason, code] of codes) {
      const arrival = bench.arrival()
      const client = new WebSocket(`ws://127.0.0.1:${bench.port}/mqtt`, 'mqtt')
      const opened = once(client, 'open')
      const closed = once(client, 'close')
      const { channel } = await arrival
      await opened
      channel.end(1000, reason)
      assert.equal((await closed)[0], code)
    }
  })

  it('a connection that is refused at once still hears the code', async (context) => {
    const { socket, peer } = await upgraded(context)
    peer.channel.destroy('tryLater')
    assert.equal((await nextFrame(socket)).payload.readUInt16BE(0), 1013)
    await once(socket, 'close')
  })

  it('a peer that says goodbye and keeps its socket is closed all the same', async (context) => {
    const { socket, peer } = await upgraded(context)
    mock.timers.enable({ apis: ['setTimeout'] })
    context.after(() => mock.timers.reset())
    socket.allowHalfOpen = true
    socket.write(frame(CLOSE, Buffer.from([0x03, 0xe8])))
    await nextFrame(socket)
    await new Promise(setImmediate)
    mock.timers.tick(2_000)
    await peer.until(() => peer.closes.length > 0)
    assert.deepEqual(peer.closes, [undefined])
  })
})
