// SPDX-License-Identifier: Apache-2.0
// Listeners and channels over loopback sockets: what the port promises, on every transport.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { ListenOptions, Transport } from '#base/port/network'
import { withoutOpenssl } from '../../cluster/certificates.ts'
import { authority, Bench, pemPair, WEB_SOCKET } from './channel-bench.ts'

const ANYWHERE = { host: '127.0.0.1', port: 0 } as const

const optionsOf = new Map<Transport, () => ListenOptions>([
  ['tcp', () => ({ ...ANYWHERE, transport: 'tcp' })],
  ['ws', () => ({ ...ANYWHERE, transport: 'ws', webSocket: WEB_SOCKET })],
])
if (withoutOpenssl === false) {
  const pair = pemPair(authority().issue('server'))
  const secured = { ...ANYWHERE, tls: { pair, others: [], ca: undefined }, verifyClient: 'none' } as const
  optionsOf.set('tls', () => ({ ...secured, transport: 'tls' }))
  optionsOf.set('wss', () => ({ ...secured, transport: 'wss', webSocket: WEB_SOCKET }))
}

for (const [transport, options] of optionsOf) {
  describe(`listener for ${transport}`, () => {
    it('an address that is taken is reported with the address and what to do', async (context) => {
      const bench = await Bench.open(context, options())
      const lines: string[] = []
      await assert.rejects(Bench.open(context, { ...options(), port: bench.port }, lines), (error: unknown) => {
        assert.ok(isPlatformError(error, ERROR_CODES.addressInUse))
        assert.ok(error.message.includes(bench.listener.address))
        return true
      })
    })

    it('stop frees the port and leaves open channels open', async (context) => {
      const bench = await Bench.open(context, options())
      const { stream, peer } = await bench.pair()
      await bench.listener.stop()
      const [refusal] = await once(connect(bench.port, '127.0.0.1'), 'error')
      assert.equal(refusal.code, 'ECONNREFUSED')
      stream.write('still here')
      await peer.until(() => peer.received === 'still here')
      await bench.listener.stop()
    })
  })

  describe(`channel over ${transport}`, () => {
    const pair = async (context: TestContext) => (await Bench.open(context, options())).pair()

    it('carries bytes both ways, and names its peer and its transport', async (context) => {
      const { stream, socket, peer } = await pair(context)
      assert.equal(peer.channel.remote, `127.0.0.1:${socket.localPort}`)
      assert.equal(peer.channel.transport, transport)
      assert.equal(peer.channel.certificate, undefined)
      stream.write('ping')
      await peer.until(() => peer.received === 'ping')
      peer.channel.write(Buffer.from('pong'))
      assert.equal(String((await once(stream, 'data'))[0]), 'pong')
    })

    it('a peer that closes ends the channel once, without an error', async (context) => {
      const { stream, peer } = await pair(context)
      stream.resume()
      stream.end('bye')
      await peer.until(() => peer.closes.length > 0)
      assert.equal(peer.received, 'bye')
      assert.deepEqual(peer.closes, [undefined])
      peer.channel.write(Buffer.from('to nobody'))
      peer.channel.end(10)
      peer.channel.destroy('goingAway')
      assert.deepEqual(peer.closes, [undefined])
    })

    it('a reset arrives as an error, not as a crash', async (context) => {
      const { stream, socket, peer } = await pair(context)
      stream.write('both sides have finished their handshakes')
      await peer.until(() => peer.received !== '')
      socket.resetAndDestroy()
      await peer.until(() => peer.closes.length > 0)
      assert.match(String(peer.closes[0]), /ECONNRESET/)
    })

    it('pause holds back the bytes of the peer, resume lets them in', async (context) => {
      const bench = await Bench.open(context, options())
      const { stream, peer } = await bench.pair()
      peer.channel.pause()
      stream.write('held')
      await bench.barrier()
      assert.equal(peer.received, '')
      peer.channel.resume()
      await peer.until(() => peer.received === 'held')
    })

    it('counts what a peer does not read, and drains once it does', async (context) => {
      const { stream, peer } = await pair(context)
      stream.pause()
      const block = Buffer.alloc(1024 * 1024, 1)
      for (let at = 0; at < 32; at++) peer.channel.write(block)
      assert.ok(peer.channel.queuedBytes() > 16 * block.length)
      stream.resume()
      await peer.until(() => peer.drains > 0)
      assert.equal(peer.channel.queuedBytes(), 0)
      assert.equal(peer.drains, 1)
    })

    it('a drain follows however little had to wait', async (context) => {
      const { stream, peer } = await pair(context)
      stream.pause()
      while (peer.channel.queuedBytes() === 0) peer.channel.write(Buffer.alloc(1000))
      stream.resume()
      await peer.until(() => peer.drains === 1)
      assert.equal(peer.channel.queuedBytes(), 0)
    })

    it('end delivers the last words even when the peer has sent what nobody wants to read', async (context) => {
      const { stream, peer } = await pair(context)
      peer.channel.pause()
      stream.write(Buffer.alloc(64 * 1024))
      let heard = ''
      stream.on('data', (chunk) => {
        heard += chunk.toString()
      })
      peer.channel.write(Buffer.from('last words'))
      peer.channel.end(60_000)
      await once(stream, 'end')
      assert.equal(heard, 'last words')
      await peer.until(() => peer.closes.length > 0)
      assert.deepEqual(peer.closes, [undefined])
      assert.equal(peer.received, '', 'no bytes are told after end')
    })

    it('end waits no longer than the grace for a peer that does not read', async (context) => {
      const { stream, peer } = await pair(context)
      stream.pause()
      for (let at = 0; at < 32; at++) peer.channel.write(Buffer.alloc(1024 * 1024))
      peer.channel.end(20)
      await peer.until(() => peer.closes.length > 0)
      assert.deepEqual(peer.closes, [undefined])
    })

    it('destroy closes at once; the handler hears of it later, and once', async (context) => {
      const { socket, peer } = await pair(context)
      const closed = once(socket, 'close')
      peer.channel.destroy()
      assert.equal(peer.closes.length, 0)
      await peer.until(() => peer.closes.length > 0)
      await closed
      assert.deepEqual(peer.closes, [undefined])
    })
  })
}

describe('bare sockets', () => {
  it('a write that the system takes at once owes no drain', async (context) => {
    const bench = await Bench.open(context, { ...ANYWHERE, transport: 'tcp' })
    const { stream, peer } = await bench.pair()
    peer.channel.write(Buffer.from('small'))
    assert.equal(peer.channel.queuedBytes(), 0)
    await once(stream, 'data')
    await bench.barrier()
    assert.equal(peer.drains, 0)
  })
})
