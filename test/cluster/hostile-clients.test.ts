// SPDX-License-Identifier: Apache-2.0
// Clients that break the protocol, dawdle or flood: each loses its own connection and nobody else notices anything (RELIABILITY section 5).
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { IDisconnectPacket, Packet } from 'mqtt-packet'
import { Bystander } from './bystander.ts'
import { MALFORMED_PACKETS } from './malformed-packets.ts'
import { metric, residentKiB, untilMetric } from './process-figures.ts'
import { RawClient } from './raw-client.ts'
import { ServerProcess, temporaryDirectory } from './server-process.ts'

const KEEP_ALIVE_TIMEOUT = 0x8d
const PACKET_TOO_LARGE = 0x95
const MIB = 1024 * 1024

async function serve(context: TestContext, ...settings: readonly string[]): Promise<{ server: ServerProcess; bystander: Bystander }> {
  const server = await ServerProcess.start({ directory: temporaryDirectory(context), settings, context })
  return { server, bystander: await Bystander.start(server.port) }
}

/** The bystanders go on after everything, and the server stops cleanly. */
async function assertUntouched(context: TestContext, server: ServerProcess, bystander: Bystander): Promise<void> {
  await bystander.further(20)
  context.diagnostic(await bystander.stop())
  assert.equal(await server.stop(), 0)
  assert.doesNotMatch(server.stderr, /fatal|assert/i)
}

const reasonOf = (packets: readonly Packet[]): number | undefined => {
  const [last] = packets.slice(-1)
  return last?.cmd === 'disconnect' || last?.cmd === 'connack' ? (last as IDisconnectPacket).reasonCode : undefined
}

test('[MQTT-4.13.1-1] a malformed packet of each kind ends its own connection with its reason, and is counted', async (context) => {
  const { server, bystander } = await serve(context)
  const wrong: string[] = []
  let counted = 0
  for (const { name, when, bytes, reasonCode } of MALFORMED_PACKETS) {
    const client = when === 'first' ? await RawClient.open(server.port, 5) : (await RawClient.connect(server.port, 'm', V5)).client
    client.sendBytes(bytes)
    const said = reasonOf(await client.untilClosed())
    if (reasonCode !== undefined && said !== reasonCode) wrong.push(`${name}: ${said} instead of ${reasonCode}`)
    if (when === 'first' && reasonCode === undefined && said !== undefined) wrong.push(`${name}: answered ${said}, not with silence`)
    const count = await metric(server, 'robustmq_malformed_packets_total')
    if (count !== counted + 1) wrong.push(`${name}: not counted`)
    counted = count
  }
  assert.deepEqual(wrong, [])
  await assertUntouched(context, server, bystander)
})

test('[MQTT-4.8.0-1] a 3.1.1 client that sends a malformed packet is closed without a word', async (context) => {
  const { server, bystander } = await serve(context)
  // What is malformed in the common part of all versions.
  for (const { bytes } of MALFORMED_PACKETS.filter(({ name }) => /flags|SUBACK|PINGRESP|reserved packet type later/.test(name))) {
    const { client } = await RawClient.connect(server.port, 'm')
    client.sendBytes(bytes)
    assert.deepEqual(await client.untilClosed(), [])
  }
  await assertUntouched(context, server, bystander)
})

test('max_packet_size a packet over the limit is refused from its header alone, and nothing is buffered for it', async (context) => {
  const { server, bystander } = await serve(context, 'mqtt.max_packet_size=64KiB')
  const before = residentKiB(server).now
  const clients = await Promise.all(Array.from({ length: 200 }, (_, at) => RawClient.connect(server.port, `large${at}`, V5)))
  // One byte over the limit, of which nothing but the header is ever sent.
  for (const { client } of clients) client.sendBytes(publishHeader(64 * 1024 - 3))
  for (const { client } of clients) assert.equal(reasonOf(await client.untilClosed()), PACKET_TOO_LARGE)
  assert.ok(residentKiB(server).peak - before < 64 * 1024)

  const { client: allowed } = await RawClient.connect(server.port, 'allowed', V5)
  allowed.sendBytes(Buffer.concat([publishHeader(64 * 1024 - 4), Buffer.alloc(64 * 1024 - 4 - 4)]))
  assert.deepEqual(await allowed.drain(), [], 'a packet of exactly the limit is accepted')
  allowed.destroy()
  await assertUntouched(context, server, bystander)
})

test('max_packet_size a CONNECT that announces 256 MiB is not waited for', async (context) => {
  const { server, bystander } = await serve(context)
  const client = await RawClient.open(server.port)
  client.sendBytes(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]))
  await client.untilClosed()
  await assertUntouched(context, server, bystander)
})

test('connect_timeout ends a connection that says nothing, and one that says CONNECT a byte at a time', async (context) => {
  const { server, bystander } = await serve(context, 'mqtt.connect_timeout=1s')
  const silent = await RawClient.open(server.port)
  const dripping = await RawClient.open(server.port)
  let dripped = 0
  const drip = setInterval(() => dripping.sendBytes(CONNECT.subarray(dripped, ++dripped)), 250)
  await silent.untilClosed()
  await dripping.untilClosed()
  clearInterval(drip)
  assert.ok(dripped > 0 && dripped < CONNECT.length, `closed in the middle of CONNECT, after ${dripped} bytes of ${CONNECT.length}`)
  await assertUntouched(context, server, bystander)
})

test('[MQTT-3.1.2-22] half a PUBLISH and then silence: after one and a half keep alives the client is gone and its will is out', async (context) => {
  const { server, bystander } = await serve(context)
  const { client: heir } = await RawClient.connect(server.port, 'heir')
  heir.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'will', qos: 1 }] })
  await heir.next('suback')
  const will = { topic: 'will', payload: Buffer.from('silence'), qos: 1 as const, retain: false }
  const { client } = await RawClient.connect(server.port, 'silent', { ...V5, keepalive: 1, will })
  client.sendBytes(publishHeader(1000))
  assert.equal(reasonOf(await client.untilClosed()), KEEP_ALIVE_TIMEOUT)
  assert.equal((await heir.next('publish')).payload.toString(), 'silence')
  heir.destroy()
  await assertUntouched(context, server, bystander)
})

test('connections_max a flood over the limit is turned away at once, and a place that becomes free is given again', async (context) => {
  const { server, bystander } = await serve(context, 'mqtt.connections_max=52')
  const seated = await Promise.all(Array.from({ length: 50 }, (_, at) => RawClient.connect(server.port, `seated${at}`)))
  const flood = await Promise.all(Array.from({ length: 1_000 }, () => RawClient.open(server.port)))
  for (const client of flood) assert.deepEqual(await client.untilClosed(), [])
  for (const { client } of seated) assert.deepEqual(await client.drain(), [], 'those inside are still served')
  await untilMetric(server, 'robustmq_connections', (count) => count === 52)

  await seated[0]?.client.disconnect()
  await untilMetric(server, 'robustmq_connections', (count) => count === 51)
  const { client: next } = await RawClient.connect(server.port, 'next')
  next.destroy()
  for (const { client } of seated) client.destroy()
  await assertUntouched(context, server, bystander)
})

test('a client that asks and asks and reads no answer is read no further: its answers do not gather in memory', async (context) => {
  const { server, bystander } = await serve(context)
  const before = residentKiB(server).now
  const { client } = await RawClient.connect(server.port, 'asking')
  client.stopReading()
  const questions = Buffer.alloc(MIB, Buffer.from([0xc0, 0]))
  // The server may stop reading, which is when a write does not come back, or close; the talk of the others says when to look.
  let taken = 0
  let last = client.sendAndFlush(questions)
  for (let round = 0; round < 300 && !client.closed; round++) {
    const flushed = await Promise.race([last, bystander.further(20).then(() => undefined)])
    if (flushed !== true) break
    taken++
    last = client.sendAndFlush(questions)
  }
  const grownMiB = (residentKiB(server).peak - before) / 1024
  context.diagnostic(`${taken} MiB of PINGREQ were taken, resident memory grew by ${grownMiB.toFixed(0)} MiB`)
  client.destroy()
  assert.ok(grownMiB < 100)
  await assertUntouched(context, server, bystander)
})

const V5 = { protocolVersion: 5 } as const
/** A CONNECT of 3.1.1. Its client id is so long that it is never all there, one byte at a time. */
const CLIENT_ID_SIZE = 1000
const CONNECT = Buffer.concat([
  Buffer.from([0x10, ((12 + CLIENT_ID_SIZE) & 0x7f) | 0x80, (12 + CLIENT_ID_SIZE) >> 7]),
  Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 0, CLIENT_ID_SIZE >> 8, CLIENT_ID_SIZE & 0xff]),
  Buffer.alloc(CLIENT_ID_SIZE, 'i'),
])

/** The beginning of an MQTT 5 PUBLISH at QoS 0 to 't' without properties; `remaining` is the length that the header announces. */
function publishHeader(remaining: number): Buffer {
  const length = [(remaining & 0x7f) | 0x80, ((remaining >> 7) & 0x7f) | 0x80, remaining >> 14]
  return Buffer.from(
    remaining < 16_384 ? [0x30, (remaining & 0x7f) | 0x80, remaining >> 7, 0, 1, 0x74, 0] : [0x30, ...length, 0, 1, 0x74, 0],
  )
}
