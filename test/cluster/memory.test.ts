// SPDX-License-Identifier: Apache-2.0
// What connections leave behind, which is nothing, and what an idle one costs (DESIGN 9).
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { GarbageCollection, metric, metrics, residentKiB, sockets, untilMetric } from './process-figures.ts'
import { RawClient } from './raw-client.ts'
import { ServerProcess, temporaryDirectory } from './server-process.ts'

const MIB = 1024 * 1024
/** For a machine that is slow and busy. */
const TIMEOUT_MS = 400_000
const CHURN_MS = 30_000
const CHURNERS = 20
const IDLE_COUNT = 10_000
const IDLE_KIB_MAX = 16
const OPENED_AT_ONCE = 200
/** Recent records, and the places of the entries in the newest file, are kept on purpose, up to these bounds: with small ones, what else is kept shows. */
const SMALL_TAILS = ['mqtt.max_packet_size=1MiB', 'engine.tail_bytes=1MiB', 'engine.memory_bytes=1MiB', 'engine.segment_bytes=1MiB']

interface Figures {
  readonly heapBytes: number
  readonly externalBytes: number
  readonly residentMiB: number
  readonly sockets: number
}

interface Measured {
  readonly server: ServerProcess
  /** What is held once all garbage is collected. */
  readonly figures: () => Promise<Figures>
}

async function serve(context: TestContext, ...settings: readonly string[]): Promise<Measured> {
  const garbage = new GarbageCollection(context)
  const { environment } = garbage
  const server = await ServerProcess.start({ directory: temporaryDirectory(context), settings, environment, context })
  const figures = async (): Promise<Figures> => {
    await garbage.collect(server)
    const [heapBytes, externalBytes] = (await metrics(server, 'nodejs_heap_size_used_bytes', 'nodejs_external_memory_bytes')) as [
      number,
      number,
    ]
    return { heapBytes, externalBytes, residentMiB: residentKiB(server).now >> 10, sockets: sockets(server) }
  }
  return { server, figures }
}

const describe = ({ heapBytes, externalBytes, residentMiB, sockets }: Figures): string =>
  `heap ${(heapBytes / MIB).toFixed(1)} MiB, external ${(externalBytes / MIB).toFixed(1)} MiB, resident ${residentMiB} MiB, ${sockets} sockets`

/** One visit of each kind: clean or persistent, a new name or one of few, with a farewell or without. */
async function visit(port: number, churner: number, round: number): Promise<void> {
  const persistent = round % 2 === 0
  const clientId = persistent ? `persistent-${churner}` : `clean-${churner}-${round}`
  const will = { topic: `will/${churner}`, payload: Buffer.alloc(100, 'w'), qos: 1 as const, retain: false }
  const client = await RawClient.open(port)
  client.onPacket = (packet) => {
    if (packet.cmd !== 'publish') return false
    if (packet.qos === 1) client.send({ cmd: 'puback', messageId: packet.messageId as number })
    return true
  }
  await client.introduce(clientId, { clean: !persistent, ...(round % 3 === 0 ? { will } : {}) })
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: `churn/${churner}/+`, qos: 1 }] })
  await client.next('suback')
  for (let messageId = 2; messageId < 5; messageId++) {
    const topic = `churn/${churner}/${round % 10}`
    client.send({ cmd: 'publish', topic, payload: Buffer.alloc(200, 'x'), qos: 1, dup: false, retain: round % 7 === 0, messageId })
    await client.next('puback')
  }
  if (round % 4 === 0) client.destroy()
  else await client.disconnect()
}

async function churn(server: ServerProcess, durationMs: number): Promise<number> {
  const until = performance.now() + durationMs
  let visits = 0
  const churners = Array.from({ length: CHURNERS }, async (_, churner) => {
    for (let round = 0; performance.now() < until; round++) {
      await visit(server.port, churner, round)
      visits++
    }
  })
  await Promise.all(churners)
  await untilMetric(server, 'robustmq_connections', (count) => count === 0)
  return visits
}

test('30 s of clients that come, subscribe, publish and go leave no socket and no heap behind', {
  timeout: TIMEOUT_MS,
}, async (context) => {
  const { server, figures } = await serve(context, ...SMALL_TAILS)
  // What is made once, and what is kept on purpose up to a bound, is there after the first of it.
  await churn(server, CHURN_MS / 10)
  const before = await figures()
  const visits = await churn(server, CHURN_MS)
  const after = await figures()
  context.diagnostic(`before: ${describe(before)}`)
  context.diagnostic(`after ${visits} visits: ${describe(after)}`)
  assert.ok(after.sockets <= before.sockets + 5)
  assert.ok(after.heapBytes - before.heapBytes < 10 * MIB, 'the heap is near what it was')
  assert.ok(after.externalBytes - before.externalBytes < 10 * MIB, 'buffers are near what they were')
  assert.equal(await server.stop(), 0)
})

test('a persistent session whose client comes back again and again with a large will is remembered once', {
  timeout: TIMEOUT_MS,
}, async (context) => {
  const { server, figures } = await serve(context)
  const will = {
    topic: 'will',
    payload: Buffer.alloc(60_000, 'w'),
    qos: 0 as const,
    retain: false,
    properties: { willDelayInterval: 3_600 },
  }
  const visits = async (count: number): Promise<void> => {
    for (let at = 0; at < count; at++) {
      const properties = { sessionExpiryInterval: 86_400 }
      const { client } = await RawClient.connect(server.port, 'returning', { protocolVersion: 5, clean: false, properties, will })
      client.destroy()
      await untilMetric(server, 'robustmq_sessions_connected', (connected) => connected === 0)
    }
  }
  await visits(50)
  const before = await figures()
  await visits(300)
  const after = await figures()
  context.diagnostic(`before: ${describe(before)}`)
  context.diagnostic(`after 300 visits: ${describe(after)}`)
  assert.ok(after.heapBytes + after.externalBytes - before.heapBytes - before.externalBytes < 10 * MIB)
  assert.equal(await server.stop(), 0)
})

test('engine.tail_bytes bounds what recent messages really take, also when they are small and come one by one', {
  timeout: TIMEOUT_MS,
}, async (context) => {
  const tailBytes = 8 * MIB
  const tail = 'robustmq_engine_tail_bytes{storage="segment"}'
  const { server, figures } = await serve(context, `engine.tail_bytes=${tailBytes}`)
  await churn(server, 500)
  const before = await figures()
  while ((await metric(server, tail)) < tailBytes * 0.9) await churn(server, 500)
  const after = await figures()
  const held = await metric(server, tail)
  context.diagnostic(`before: ${describe(before)}`)
  context.diagnostic(`after: ${describe(after)}; the tail is said to have ${(held / MIB).toFixed(1)} MiB`)
  assert.ok(held <= tailBytes)
  assert.ok(after.externalBytes - before.externalBytes < 2 * tailBytes, 'buffers take several times what is accounted for')
  assert.equal(await server.stop(), 0)
})

async function openIdle(context: TestContext, server: ServerProcess): Promise<readonly RawClient[]> {
  const clients: RawClient[] = []
  context.after(() => {
    for (const client of clients) client.destroy()
  })
  while (clients.length < IDLE_COUNT) {
    const batch = Array.from({ length: OPENED_AT_ONCE }, (_, at) =>
      RawClient.connect(server.port, `idle-${clients.length + at}`, { keepalive: 600 }),
    )
    for (const { client } of await Promise.all(batch)) clients.push(client)
  }
  return clients
}

test(`${IDLE_COUNT} idle connections cost a few KiB each, and are all still there`, { timeout: TIMEOUT_MS }, async (context) => {
  const server = await ServerProcess.start({ directory: temporaryDirectory(context), context })
  // What the code itself takes once it runs is not the connections'.
  for (let at = 0; at < 200; at++) await visit(server.port, 0, at)
  const before = residentKiB(server).now
  const clients = await openIdle(context, server)
  const eachKiB = (residentKiB(server).now - before) / IDLE_COUNT
  context.diagnostic(`${eachKiB.toFixed(1)} KiB resident for each idle connection (aim: at most 8)`)
  assert.ok(eachKiB < IDLE_KIB_MAX)
  for (const client of clients.slice(0, 100)) assert.deepEqual(await client.drain(), [])
  assert.equal(await metric(server, 'robustmq_connections'), IDLE_COUNT)
  assert.equal(await server.stop(), 0)
})
