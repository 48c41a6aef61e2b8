// SPDX-License-Identifier: Apache-2.0
// TCP, TLS, WebSocket and WebSocket over TLS on a real node, with clients that others have written: MQTT.js and mosquitto_pub.
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { promisify } from 'node:util'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { generate, type IDisconnectPacket, parser } from 'mqtt-packet'
import { WebSocket } from 'ws'
import { Authority, readPair, replacePair, withoutOpenssl } from './certificates.ts'
import { RawClient } from './raw-client.ts'
import { freePort, ServerProcess, temporaryDirectory } from './server-process.ts'

const run = promisify(execFile)
const withoutMosquitto = spawnSync('mosquitto_pub', ['--version']).error !== undefined && 'there is no mosquitto_pub command here'

/** A client that is closed after the test and does not come back by itself. */
async function connect(context: TestContext, url: string, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await connectAsync(url, { reconnectPeriod: 0, protocolVersion: 5, ...options }, false)
  context.after(() => void client.end(true))
  client.on('error', () => undefined)
  return client
}

/** A message of some hundred kilobytes goes from one client to the other, unharmed. */
async function exchange(publisher: MqttClient, subscriber: MqttClient, topic: string): Promise<void> {
  const payload = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 7919) & 0xff))
  await subscriber.subscribeAsync(topic, { qos: 2 })
  const arrival = once(subscriber as unknown as NodeJS.EventEmitter, 'message')
  await publisher.publishAsync(topic, payload, { qos: 2 })
  const [, received] = (await arrival) as [string, Buffer]
  assert.ok(payload.equals(received))
}

async function ports<N extends string>(...names: readonly N[]): Promise<Record<N, number>> {
  const entries: (readonly [N, number])[] = []
  for (const name of names) entries.push([name, await freePort()])
  return Object.fromEntries(entries) as Record<N, number>
}

describe('WebSocket', () => {
  it('MQTT.js over ws talks to a client over TCP, and the ready line tells both addresses', async (context) => {
    const { ws, tls } = await ports('ws', 'tls')
    const settings = [`mqtt.ws_port=${ws}`, `mqtt.tls_port=${tls}`]
    const server = await ServerProcess.start({ directory: temporaryDirectory(context), context, settings })
    assert.match(server.stdout, new RegExp(`ready: .*mqtt 127\\.0\\.0\\.1:${server.port}, ws 127\\.0\\.0\\.1:${ws}\\n`))
    const overWs = await connect(context, `ws://127.0.0.1:${ws}/mqtt`)
    const old = await connect(context, `ws://127.0.0.1:${ws}/mqtt`, { protocolVersion: 4 })
    const overTcp = await connect(context, `mqtt://127.0.0.1:${server.port}`)
    await exchange(overWs, overTcp, 'up')
    await exchange(overTcp, overWs, 'down')
    await exchange(overTcp, old, 'old')
    assert.match(server.stderr, /no certificate, no TLS: set tls\.cert and tls\.key closed=tls\n/)
    const closed = once(overWs.stream, 'close')
    assert.equal(await server.stop(), 0)
    await closed
  })

  it('path, and origins of a listener in a table', async (context) => {
    const { ws, guarded } = await ports('ws', 'guarded')
    const config = `[[listener]]\nname = "pages"\ntransport = "ws"\nport = ${guarded}\npath = "/pages"\norigins = ["https://app.example"]\n`
    const settings = [`mqtt.ws_port=${ws}`, 'mqtt.ws_path=/broker']
    await ServerProcess.start({ directory: temporaryDirectory(context), context, config, settings })
    const status = async (port: number, path: string, origin?: string): Promise<number> => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, 'mqtt', origin === undefined ? {} : { origin })
      context.after(() => socket.terminate())
      socket.on('error', () => undefined)
      return await new Promise((resolve) => {
        socket.once('open', () => resolve(101))
        socket.once('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0))
      })
    }
    assert.equal(await status(ws, '/broker', 'https://any.example'), 101)
    assert.equal(await status(ws, '/mqtt'), 404)
    assert.equal(await status(guarded, '/pages', 'https://app.example'), 101)
    assert.equal(await status(guarded, '/pages', 'https://any.example'), 403)
    assert.equal(await status(guarded, '/broker'), 404)
  })

  it('packets split into frames of one byte, and the code with which the broker closes', async (context) => {
    const { ws } = await ports('ws')
    const server = await ServerProcess.start({ directory: temporaryDirectory(context), context, settings: [`mqtt.ws_port=${ws}`] })
    const socket = new WebSocket(`ws://127.0.0.1:${ws}/mqtt`, 'mqtt')
    context.after(() => socket.terminate())
    const reader = parser({ protocolVersion: 5 })
    socket.on('message', (bytes: Buffer) => reader.parse(bytes))
    await once(socket, 'open')
    const send = (packet: Parameters<typeof generate>[0]): void => {
      for (const byte of generate(packet, { protocolVersion: 5 })) socket.send(Buffer.from([byte]))
    }
    const connack = once(reader, 'packet')
    send({ cmd: 'connect', clientId: 'bytewise', protocolId: 'MQTT', protocolVersion: 5, clean: true, keepalive: 0 })
    assert.equal((await connack)[0].cmd, 'connack')
    const goodbye = once(reader, 'packet')
    const closed = once(socket, 'close')
    // A second CONNECT is a protocol error [MQTT-3.1.0-2].
    send({ cmd: 'connect', clientId: 'bytewise', protocolId: 'MQTT', protocolVersion: 5, clean: true, keepalive: 0 })
    assert.equal(((await goodbye) as [IDisconnectPacket])[0].reasonCode, 0x82)
    assert.equal((await closed)[0], 1002)
    const waiting = new WebSocket(`ws://127.0.0.1:${ws}/mqtt`, 'mqtt')
    await once(waiting, 'open')
    const stopped = once(waiting, 'close')
    assert.equal(await server.stop(), 0)
    assert.equal((await stopped)[0], 1001)
  })

  it('over the limit of a listener a client is told to try later, and the other listeners are not concerned', async (context) => {
    const { few } = await ports('few')
    const config = `[[listener]]\nname = "few"\ntransport = "ws"\nport = ${few}\nconnections_max = 1\n`
    const server = await ServerProcess.start({ directory: temporaryDirectory(context), context, config })
    const first = await connect(context, `ws://127.0.0.1:${few}/mqtt`)
    const second = new WebSocket(`ws://127.0.0.1:${few}/mqtt`, 'mqtt')
    assert.equal((await once(second, 'close'))[0], 1013)
    const { client } = await RawClient.connect(server.port, 'elsewhere')
    client.destroy()
    await first.endAsync()
    await connect(context, `ws://127.0.0.1:${few}/mqtt`)
  })
})

describe('TLS', { skip: withoutOpenssl }, () => {
  it('MQTT.js over mqtts and wss, also with a client certificate', async (context) => {
    const { tls, wss, strict } = await ports('tls', 'wss', 'strict')
    const directory = temporaryDirectory(context)
    const authority = new Authority(directory)
    const { cert, key } = authority.issue('server')
    const table = `[[listener]]\nname = "strict"\ntransport = "tls"\nport = ${strict}\nca = "${authority.cert}"\nverify_client = "required"\n`
    const config = `[tls]\ncert = "${cert}"\nkey = "${key}"\n${table}`
    const settings = [`mqtt.tls_port=${tls}`, `mqtt.wss_port=${wss}`]
    const server = await ServerProcess.start({ directory, context, config, settings })
    assert.match(server.stdout, new RegExp(`mqtts 127\\.0\\.0\\.1:${tls}, wss 127\\.0\\.0\\.1:${wss}, mqtts 127\\.0\\.0\\.1:${strict}\\n`))
    const ca = readFileSync(authority.cert)
    const overTls = await connect(context, `mqtts://localhost:${tls}`, { ca })
    const overWss = await connect(context, `wss://localhost:${wss}/mqtt`, { ca })
    const known = await connect(context, `mqtts://localhost:${strict}`, { ca, ...readPair(authority.issue('meter-7')) })
    await exchange(overTls, overWss, 'a')
    await exchange(overWss, known, 'b')
    const stranger = new Authority(directory, 'stranger')
    const refused = [{}, readPair(stranger.issue('meter-7')), readPair(authority.issue('late', { days: -1 }))]
    for (const identity of refused) await assert.rejects(connect(context, `mqtts://localhost:${strict}`, { ca, ...identity }))
    await assert.rejects(connect(context, `mqtts://localhost:${tls}`, { ca: readFileSync(stranger.cert) }), /self-signed|unable to/i)
    await exchange(known, overTls, 'c')
  })

  it('mosquitto_pub with a client certificate', { skip: withoutMosquitto }, async (context) => {
    const { tls } = await ports('tls')
    const directory = temporaryDirectory(context)
    const authority = new Authority(directory)
    const { cert, key } = authority.issue('server')
    const settings = [`mqtt.tls_port=${tls}`, `tls.cert=${cert}`, `tls.key=${key}`, `tls.ca=${authority.cert}`]
    const server = await ServerProcess.start({ directory, context, settings: [...settings, 'tls.verify_client=required'] })
    const { client } = await RawClient.connect(server.port, 'listening')
    context.after(() => client.destroy())
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'm', qos: 1 }] })
    await client.next('suback')
    const own = authority.issue('mosquitto')
    const words = ['-h', 'localhost', '-p', String(tls), '-t', 'm', '-q', '1', '--cafile', authority.cert]
    await run('mosquitto_pub', [...words, '-m', 'with', '--cert', own.cert, '--key', own.key])
    assert.equal(String((await client.next('publish')).payload), 'with')
    await assert.rejects(run('mosquitto_pub', [...words, '-m', 'without']))
  })

  it('certificates change on SIGHUP without a connection lost; broken files keep the old ones, and the log says so', async (context) => {
    const { tls } = await ports('tls')
    const directory = temporaryDirectory(context)
    const authority = new Authority(directory)
    const place = authority.issue('first')
    const settings = [`mqtt.tls_port=${tls}`, `tls.cert=${place.cert}`, `tls.key=${place.key}`]
    const server = await ServerProcess.start({ directory, context, settings })
    const ca = readFileSync(authority.cert)
    const old = await connect(context, `mqtts://localhost:${tls}`, { ca })
    const shown = async (): Promise<string> => {
      const socket = connectTls({ port: tls, host: '127.0.0.1', servername: 'localhost', ca })
      await once(socket, 'secureConnect')
      const name = String(socket.getPeerCertificate().subject.CN)
      socket.destroy()
      return name
    }
    assert.equal(await shown(), 'first')
    replacePair(place, authority.issue('second'))
    process.kill(server.pid, 'SIGHUP')
    await server.untilWritten('certificates were read again')
    assert.equal(await shown(), 'second')
    writeFileSync(place.cert, 'broken')
    process.kill(server.pid, 'SIGHUP')
    await server.untilWritten('certificates have changed and cannot be used: the old ones stay')
    assert.ok(server.stderr.includes(place.cert))
    assert.equal(await shown(), 'second')
    await exchange(old, old, 'still-here')
  })

  it('files that are missing or wrong refuse the start with their path and exit code 2', async (context) => {
    const { tls } = await ports('tls')
    const directory = temporaryDirectory(context)
    const authority = new Authority(directory)
    const { cert, key } = authority.issue('server')
    const other = authority.issue('other')
    const missing = join(directory, 'nowhere.crt')
    const attempts = [
      [missing, key, missing],
      [authority.cert, key, authority.cert],
      [cert, other.key, other.key],
      [key, key, key],
    ] as const
    for (const [certFile, keyFile, named] of attempts) {
      const settings = [`mqtt.tls_port=${tls}`, `tls.cert=${certFile}`, `tls.key=${keyFile}`]
      const server = await ServerProcess.spawn({ directory, context, settings })
      assert.equal(await server.exited, 2, server.stderr)
      assert.match(server.stderr, /cannot start: /)
      assert.ok(server.stderr.includes(named), server.stderr)
    }
  })
})
