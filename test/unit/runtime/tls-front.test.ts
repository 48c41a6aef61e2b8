// SPDX-License-Identifier: Apache-2.0
// TLS: who is let in, what they are shown, and how certificates change while connections go on.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { describe, it, type TestContext } from 'node:test'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { ListenOptions, VerifyClient } from '#base/port/network'
import { readPair, withoutOpenssl } from '../../cluster/certificates.ts'
import { authority, Bench, pem, pemPair } from './channel-bench.ts'

describe('TLS', { skip: withoutOpenssl }, () => {
  const own = authority('own')
  const foreign = authority('foreign')

  const options = (verifyClient: VerifyClient = 'none'): ListenOptions => {
    const pair = pemPair(own.issue('server'))
    return { transport: 'tls', host: '127.0.0.1', port: 0, tls: { pair, others: [], ca: pem(own.cert) }, verifyClient }
  }

  /** Connects and completes the handshake; rejects when that fails. */
  const dial = async (context: TestContext, bench: Bench, more: ConnectionOptions = {}): Promise<TLSSocket> => {
    const socket = connect({ port: bench.port, host: '127.0.0.1', servername: 'localhost', ca: readFileSync(own.cert), ...more })
    context.after(() => socket.destroy())
    await once(socket, 'secureConnect')
    socket.on('error', () => undefined)
    return socket
  }

  /** With or without an error. */
  const closed = async (socket: TLSSocket): Promise<void> => {
    socket.on('error', () => undefined)
    await new Promise((resolve) => socket.resume().once('close', resolve))
  }

  const shown = (socket: TLSSocket): string => String(socket.getPeerCertificate().subject.CN)

  it('versions before 1.2 are refused, 1.2 and 1.3 are spoken', async (context) => {
    const bench = await Bench.open(context, options())
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const socket = await dial(context, bench, { minVersion: version, maxVersion: version })
      assert.equal(socket.getProtocol(), version)
    }
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    await assert.rejects(dial(context, bench, old), /protocol version/)
  })

  it('ALPN: mqtt is agreed on, no name at all is fine, another protocol is refused', async (context) => {
    const bench = await Bench.open(context, options())
    assert.equal((await dial(context, bench, { ALPNProtocols: ['x', 'mqtt'] })).alpnProtocol, 'mqtt')
    assert.equal((await dial(context, bench)).alpnProtocol, false)
    await assert.rejects(dial(context, bench, { ALPNProtocols: ['http/1.1'] }), /no application protocol/)
  })

  it('a required client certificate: a verified one comes in with its names; none, a foreign and an expired one do not', async (context) => {
    const lines: string[] = []
    const bench = await Bench.open(context, options('required'), lines)
    const names = 'DNS:meter.example,URI:urn:meter:7,email:meter@example.org'
    const arrival = bench.arrival()
    await dial(context, bench, readPair(own.issue('meter', { names, subject: '/O=Example, Inc/CN=meter-7' })))
    const { channel } = await arrival
    assert.deepEqual(channel.certificate, {
      commonName: 'meter-7',
      subject: 'CN=meter-7,O=Example\\, Inc',
      dnsNames: ['meter.example'],
      uris: ['urn:meter:7'],
      emails: ['meter@example.org'],
    })
    const strangers = [{}, readPair(foreign.issue('meter')), readPair(own.issue('late', { days: -1 }))]
    for (const stranger of strangers) await assertTurnedAway(context, bench, stranger)
    assert.equal(lines.filter((line) => line.includes('a TLS handshake failed')).length, 1, 'failures within a minute are one line')
  })

  /** With TLS 1.3 a client believes itself connected before the server has looked at its certificate. */
  const assertTurnedAway = async (context: TestContext, bench: Bench, more: ConnectionOptions): Promise<void> => {
    const socket = connect({ port: bench.port, host: '127.0.0.1', servername: 'localhost', ca: readFileSync(own.cert), ...more })
    context.after(() => socket.destroy())
    await closed(socket)
    assert.equal(bench.unclaimed, 0)
  }

  it('an optional client certificate: none is let in, one that cannot be verified is not', async (context) => {
    const lines: string[] = []
    const bench = await Bench.open(context, options('optional'), lines)
    const arrival = bench.arrival()
    await dial(context, bench)
    assert.equal((await arrival).channel.certificate, undefined)
    const second = bench.arrival()
    await dial(context, bench, readPair(own.issue('known')))
    assert.equal((await second).channel.certificate?.commonName, 'known')
    await assertTurnedAway(context, bench, readPair(foreign.issue('unknown')))
    assert.match(lines.join('\n'), /a TLS handshake failed .*(SELF_SIGNED|UNABLE_TO|VERIFY)/)
  })

  it('a resumed session brings its client certificate along', async (context) => {
    const bench = await Bench.open(context, options('required'))
    const pair = readPair(own.issue('back'))
    const arrival = bench.arrival()
    const first = connect({ port: bench.port, host: '127.0.0.1', servername: 'localhost', ca: readFileSync(own.cert), ...pair })
    const [session] = (await once(first, 'session')) as [Buffer]
    first.destroy()
    await arrival
    const again = bench.arrival()
    const second = await dial(context, bench, { ...pair, session })
    assert.ok(second.isSessionReused())
    assert.equal((await again).channel.certificate?.commonName, 'back')
  })

  it('SNI: the first certificate that is for the host is shown, wildcards included; else the main one', async (context) => {
    const base = options() as Extract<ListenOptions, { transport: 'tls' }>
    const others = [
      own.issue('plain', { names: 'DNS:a.example' }),
      own.issue('wild', { names: 'DNS:*.b.example' }),
      own.issue('again', { names: 'DNS:a.example,DNS:localhost' }),
    ]
    const bench = await Bench.open(context, { ...base, tls: { ...base.tls, others: others.map(pemPair) } })
    const shownTo = async (servername: string): Promise<string> =>
      shown(await dial(context, bench, { servername, rejectUnauthorized: false }))
    assert.equal(await shownTo('a.example'), 'plain')
    assert.equal(await shownTo('x.b.example'), 'wild')
    assert.equal(await shownTo('x.y.b.example'), 'server')
    assert.equal(await shownTo('localhost'), 'server')
    assert.equal(await shownTo('c.example'), 'server')
  })

  it('SNI decides about the certificate that is shown, not about who is let in', async (context) => {
    const base = options('required') as Extract<ListenOptions, { transport: 'tls' }>
    const others = [pemPair(own.issue('side', { names: 'DNS:side.example' }))]
    const bench = await Bench.open(context, { ...base, tls: { ...base.tls, others } })
    await assertTurnedAway(context, bench, { servername: 'side.example', ...readPair(foreign.issue('visitor')) })
    const arrival = bench.arrival()
    await dial(context, bench, { servername: 'side.example', ...readPair(own.issue('guest')) })
    assert.equal((await arrival).channel.certificate?.commonName, 'guest')
  })

  it('new certificates are shown to new connections, old connections go on; unusable ones change nothing', async (context) => {
    const base = options() as Extract<ListenOptions, { transport: 'tls' }>
    const bench = await Bench.open(context, base)
    const arrival = bench.arrival()
    const old = await dial(context, bench)
    const peer = await arrival
    assert.equal(shown(old), 'server')
    const next = pemPair(own.issue('next'))
    bench.listener.setTls({ ...base.tls, pair: next })
    assert.equal(shown(await dial(context, bench)), 'next')
    const crossed = { cert: next.cert, key: base.tls.pair.key }
    assert.throws(() => bench.listener.setTls({ ...base.tls, pair: crossed }), /the private key .*server\.key is not that of .*next\.crt/)
    assert.equal(shown(await dial(context, bench)), 'next')
    old.write('still here')
    await peer.until(() => peer.received === 'still here')
  })

  it('issuers that are no longer there are not believed, even by a session that is resumed', async (context) => {
    const base = options('required') as Extract<ListenOptions, { transport: 'tls' }>
    const bench = await Bench.open(context, base)
    const pair = readPair(own.issue('gone'))
    const first = connect({ port: bench.port, host: '127.0.0.1', servername: 'localhost', ca: readFileSync(own.cert), ...pair })
    const [session] = (await once(first, 'session')) as [Buffer]
    first.destroy()
    bench.listener.setTls({ ...base.tls, ca: pem(foreign.cert) })
    const unclaimed = bench.unclaimed
    const second = connect({ port: bench.port, host: '127.0.0.1', servername: 'localhost', ca: readFileSync(own.cert), ...pair, session })
    await closed(second)
    assert.equal(bench.unclaimed, unclaimed)
  })

  it('files that cannot be used are named', async (context) => {
    const base = options('required') as Extract<ListenOptions, { transport: 'tls' }>
    const junk = { path: 'somewhere/junk.pem', bytes: Buffer.from('junk') }
    const materials = [
      { ...base.tls, pair: { ...base.tls.pair, cert: junk } },
      { ...base.tls, pair: { ...base.tls.pair, key: junk } },
      { ...base.tls, others: [{ cert: junk, key: junk }] },
      { ...base.tls, ca: junk },
    ]
    for (const tls of materials) {
      await assert.rejects(Bench.open(context, { ...base, tls }), (error: unknown) => {
        assert.ok(isPlatformError(error, ERROR_CODES.configInvalid))
        return error.message.includes(junk.path)
      })
    }
  })

  it('whoever speaks no TLS, or goes away in the handshake, is no connection and no crash', async (context) => {
    const lines: string[] = []
    const bench = await Bench.open(context, options(), lines)
    const plain = await bench.dialSocket()
    plain.resume().write('\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00')
    await once(plain, 'close')
    const gone = await bench.dialSocket()
    gone.resetAndDestroy()
    await bench.barrier()
    assert.equal(bench.unclaimed, 0)
    assert.match(lines.join('\n'), /^info a TLS handshake failed \{"remote":"127\.0\.0\.1:\d+","error":"[^"]*wrong version number/)
  })
})
