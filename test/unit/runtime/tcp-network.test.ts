// SPDX-License-Identifier: Apache-2.0
// TCP listeners and channels over loopback sockets.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Channel, ChannelHandler, Listener } from '#base/port/network'
import { JsonLogger, NodeClock, TcpNetwork } from '#runtime'

/** The server's end of a connection, and what its handler was told. */
class Peer implements ChannelHandler {
  readonly channel: Channel
  readonly closes: (Error | undefined)[] = []
  received = ''
  drains = 0
  #wake: () => void = () => undefined

  constructor(channel: Channel) {
    this.channel = channel
  }

  onData(chunk: Buffer): void {
    this.received += chunk.toString('latin1')
    this.#wake()
  }

  onDrain(): void {
    this.drains += 1
    this.#wake()
  }

  onClose(error: Error | undefined): void {
    this.closes.push(error)
    this.#wake()
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

interface Pair {
  readonly client: Socket
  readonly peer: Peer
}

class Bench {
  readonly listener: Listener
  readonly #arrivals: Peer[] = []
  #arrived: () => void = () => undefined
  readonly #clients: Socket[] = []

  constructor(listener: Listener) {
    this.listener = listener
  }

  static async open(context: TestContext): Promise<Bench> {
    const logger = JsonLogger.open(new NodeClock(), () => undefined, { level: 'error', format: 'text' })
    const bench = new Bench(new TcpNetwork(logger).listener({ transport: 'tcp', host: '127.0.0.1', port: 0 }))
    await bench.listener.start((channel) => {
      const peer = new Peer(channel)
      bench.#arrivals.push(peer)
      bench.#arrived()
      return peer
    })
    context.after(async () => {
      await bench.listener.stop()
      for (const client of bench.#clients) client.destroy()
    })
    return bench
  }

  get port(): number {
    return Number(this.listener.address.split(':').pop())
  }

  async pair(): Promise<Pair> {
    const arrival = new Promise<void>((resolve) => {
      this.#arrived = resolve
    })
    const client = connect(this.port, '127.0.0.1')
    client.on('error', () => undefined)
    this.#clients.push(client)
    await Promise.all([arrival, once(client, 'connect')])
    return { client, peer: this.#arrivals.pop() as Peer }
  }
}

/** A round trip on another connection: whatever the loop had to deliver before it has been delivered. */
async function barrier(bench: Bench): Promise<void> {
  const { client, peer } = await bench.pair()
  client.write('x')
  await peer.until(() => peer.received === 'x')
  peer.channel.write(Buffer.from('y'))
  await once(client, 'data')
}

describe('TcpListener', () => {
  it('an address that is taken is reported with the address and what to do', async (context) => {
    const bench = await Bench.open(context)
    const logger = JsonLogger.open(new NodeClock(), () => undefined, { level: 'error', format: 'text' })
    const second = new TcpNetwork(logger).listener({ transport: 'tcp', host: '127.0.0.1', port: bench.port })
    await assert.rejects(
      second.start(() => assert.fail('nothing connects')),
      (error: unknown) => {
        assert.ok(isPlatformError(error, ERROR_CODES.addressInUse))
        assert.ok(error.message.includes(bench.listener.address))
        return true
      },
    )
    await second.stop()
  })

  it('stop frees the port and leaves open channels open', async (context) => {
    const bench = await Bench.open(context)
    const { client, peer } = await bench.pair()
    await bench.listener.stop()
    const [refusal] = await once(connect(bench.port, '127.0.0.1'), 'error')
    assert.equal(refusal.code, 'ECONNREFUSED')
    client.write('still here')
    await peer.until(() => peer.received === 'still here')
    await bench.listener.stop()
  })
})

describe('TcpChannel', () => {
  it('carries bytes both ways and names its peer', async (context) => {
    const { client, peer } = await (await Bench.open(context)).pair()
    assert.equal(peer.channel.remote, `127.0.0.1:${client.localPort}`)
    client.write('ping')
    await peer.until(() => peer.received === 'ping')
    peer.channel.write(Buffer.from('pong'))
    assert.equal(String((await once(client, 'data'))[0]), 'pong')
  })

  it('a peer that closes ends the channel once, without an error', async (context) => {
    const { client, peer } = await (await Bench.open(context)).pair()
    client.end('bye')
    await peer.until(() => peer.closes.length > 0)
    assert.equal(peer.received, 'bye')
    assert.deepEqual(peer.closes, [undefined])
    peer.channel.write(Buffer.from('to nobody'))
    peer.channel.end(10)
    peer.channel.destroy()
    assert.deepEqual(peer.closes, [undefined])
  })

  it('a reset arrives as an error, not as a crash', async (context) => {
    const { client, peer } = await (await Bench.open(context)).pair()
    client.resetAndDestroy()
    await peer.until(() => peer.closes.length > 0)
    assert.match(String(peer.closes[0]), /ECONNRESET/)
  })

  it('pause holds back the bytes of the peer, resume lets them in', async (context) => {
    const bench = await Bench.open(context)
    const { client, peer } = await bench.pair()
    peer.channel.pause()
    client.write('held')
    await barrier(bench)
    assert.equal(peer.received, '')
    peer.channel.resume()
    await peer.until(() => peer.received === 'held')
  })

  it('counts what a peer does not read, and drains once it does', async (context) => {
    const { client, peer } = await (await Bench.open(context)).pair()
    client.pause()
    const block = Buffer.alloc(1024 * 1024, 1)
    for (let at = 0; at < 32; at++) peer.channel.write(block)
    assert.ok(peer.channel.queuedBytes() > 16 * block.length)
    client.resume()
    await peer.until(() => peer.drains > 0)
    assert.equal(peer.channel.queuedBytes(), 0)
    assert.equal(peer.drains, 1)
  })

  it('a write that the system takes at once owes no drain', async (context) => {
    const bench = await Bench.open(context)
    const { client, peer } = await bench.pair()
    peer.channel.write(Buffer.from('small'))
    assert.equal(peer.channel.queuedBytes(), 0)
    await once(client, 'data')
    await barrier(bench)
    assert.equal(peer.drains, 0)
  })

  it('a drain follows however little had to wait', async (context) => {
    const { client, peer } = await (await Bench.open(context)).pair()
    client.pause()
    while (peer.channel.queuedBytes() === 0) peer.channel.write(Buffer.alloc(1000))
    client.resume()
    await peer.until(() => peer.drains === 1)
    assert.equal(peer.channel.queuedBytes(), 0)
  })

  it('end delivers the last words even when the peer has sent what nobody wants to read', async (context) => {
    const { client, peer } = await (await Bench.open(context)).pair()
    peer.channel.pause()
    client.write(Buffer.alloc(64 * 1024))
    let heard = ''
    client.on('data', (chunk) => {
      heard += chunk.toString()
    })
    peer.channel.write(Buffer.from('last words'))
    peer.channel.end(60_000)
    await once(client, 'close')
    assert.equal(heard, 'last words')
    await peer.until(() => peer.closes.length > 0)
    assert.deepEqual(peer.closes, [undefined])
    assert.equal(peer.received, '', 'no bytes are told after end')
  })

  it('end waits no longer than the grace for a peer that does not read', async (context) => {
    const { client, peer } = await (await Bench.open(context)).pair()
    client.pause()
    for (let at = 0; at < 32; at++) peer.channel.write(Buffer.alloc(1024 * 1024))
    peer.channel.end(20)
    await peer.until(() => peer.closes.length > 0)
    assert.deepEqual(peer.closes, [undefined])
  })

  it('destroy closes at once; the handler hears of it later, and once', async (context) => {
    const { client, peer } = await (await Bench.open(context)).pair()
    const closed = once(client, 'close')
    peer.channel.destroy()
    assert.equal(peer.closes.length, 0)
    await peer.until(() => peer.closes.length > 0)
    await closed
    assert.deepEqual(peer.closes, [undefined])
  })
})
