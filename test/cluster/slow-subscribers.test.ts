// SPDX-License-Identifier: Apache-2.0
// Subscribers that do not read what is sent to them: they cost a cursor and not memory (DESIGN D5), they get at QoS 1 everything when they
// read again, and nobody waits for them.
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { generate } from 'mqtt-packet'
import { Bystander } from './bystander.ts'
import { metric, residentKiB } from './process-figures.ts'
import { RawClient } from './raw-client.ts'
import { ServerProcess, temporaryDirectory } from './server-process.ts'

const KIB = 1024
const FLOOD_BYTES = 200 * KIB * KIB
const PAYLOAD_BYTES = 16 * KIB
const COUNT = FLOOD_BYTES / PAYLOAD_BYTES
/** Messages sent with one write; at QoS 1 their acknowledgements are awaited before the next ones. */
const BURST = 100
/** Resident memory that all of it may cost, while it is unread, beside what an idle server has: 100 MB. */
const GROWTH_KIB_MAX = 100_000_000 / KIB
/** At most, while it streams through: with what is garbage and not collected yet. Less than all of it together. */
const STREAMING_GROWTH_KIB_MAX = 160_000_000 / KIB
/** How the C library keeps memory, as `npm start` and the image set it. */
const ALLOCATOR = { MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '131072', MALLOC_TRIM_THRESHOLD_: '262144' }
/** For a machine that is slow and busy. */
const TIMEOUT_MS = 400_000
/** On such a machine a subscriber is without room for longer than servers usually put up with. */
const PATIENT = ['mqtt.write_stall_timeout=10m']

async function serve(context: TestContext): Promise<{ server: ServerProcess; bystander: Bystander; idleKiB: number }> {
  const server = await ServerProcess.start({ directory: temporaryDirectory(context), settings: PATIENT, environment: ALLOCATOR, context })
  const bystander = await Bystander.start(server.port)
  await bystander.further(200)
  return { server, bystander, idleKiB: residentKiB(server).now }
}

/** A session that goes away without having read anything. */
async function subscribeAndLeave(port: number, clientId: string, topic: string): Promise<void> {
  const { client } = await RawClient.connect(port, clientId, { clean: false })
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos: 1 }] })
  await client.next('suback')
  await client.disconnect()
}

async function subscribeDeaf(port: number, clientId: string, topic: string, qos: 0 | 1, clean: boolean): Promise<RawClient> {
  const { client } = await RawClient.connect(port, clientId, { clean })
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos }] })
  await client.next('suback')
  client.stopReading()
  return client
}

function burst(topic: string, qos: 0 | 1, from: number): Buffer {
  const packets = Array.from({ length: BURST }, (_, at) =>
    generate({
      cmd: 'publish',
      topic,
      payload: `${from + at}:`.padEnd(PAYLOAD_BYTES, '.'),
      qos,
      dup: false,
      retain: false,
      ...(qos === 0 ? {} : { messageId: at + 1 }),
    }),
  )
  return Buffer.concat(packets)
}

async function flood(port: number, topic: string, qos: 0 | 1): Promise<void> {
  const { client } = await RawClient.connect(port, `flood-${qos}`)
  for (let from = 0; from < COUNT; from += BURST) {
    assert.ok(await client.sendAndFlush(burst(topic, qos, from)), 'the publisher is not disconnected')
    if (qos === 1) for (let count = 0; count < BURST; count++) await client.next('puback')
  }
  assert.deepEqual(await client.drain(), [])
  await client.disconnect()
}

/** The sequence numbers that a subscriber gets from here on, acknowledged, until the last one. */
async function readToEnd(client: RawClient): Promise<number[]> {
  const sequences: number[] = []
  while (sequences[sequences.length - 1] !== COUNT - 1) {
    const { payload, messageId } = await client.next('publish')
    sequences.push(Number.parseInt(payload.toString('latin1', 0, 20), 10))
    assert.equal(payload.length, PAYLOAD_BYTES)
    client.send({ cmd: 'puback', messageId: messageId as number })
  }
  return sequences
}

const ALL = Array.from({ length: COUNT }, (_, at) => at)

test('D5 five subscribers at QoS 1 that read nothing of 200 MiB cost no memory, hold nobody up, and get everything when they read again', {
  timeout: TIMEOUT_MS,
}, async (context) => {
  const { server, bystander, idleKiB } = await serve(context)
  const clean = await subscribeDeaf(server.port, 'deaf-clean', 'flood/1', 1, true)
  const persistent = await subscribeDeaf(server.port, 'deaf-persistent', 'flood/1', 1, false)
  const away = ['away-1', 'away-2', 'away-3']
  for (const clientId of away) await subscribeAndLeave(server.port, clientId, 'flood/1')
  const since = performance.now()
  await flood(server.port, 'flood/1', 1)
  const tookMs = performance.now() - since
  await bystander.further(20)
  const { now, peak } = residentKiB(server)
  const grownKiB = now - idleKiB
  context.diagnostic(
    `published in ${tookMs.toFixed(0)} ms; resident ${idleKiB >> 10} MiB idle, ${grownKiB >> 10} MiB more, at most ${(peak - idleKiB) >> 10}`,
  )
  assert.ok(grownKiB < GROWTH_KIB_MAX, `${grownKiB >> 10} MiB more`)
  assert.ok(peak - idleKiB < STREAMING_GROWTH_KIB_MAX, `${(peak - idleKiB) >> 10} MiB more`)

  clean.startReading()
  assert.deepEqual(await readToEnd(clean), ALL)
  persistent.startReading()
  assert.deepEqual(await readToEnd(persistent), ALL)
  clean.destroy()
  persistent.destroy()
  await Promise.all(
    away.map(async (clientId) => {
      const { client } = await RawClient.connect(server.port, clientId, { clean: false })
      assert.deepEqual(await readToEnd(client), ALL)
      client.destroy()
    }),
  )
  context.diagnostic(`after reading it all: at most ${(residentKiB(server).peak - idleKiB) >> 10} MiB more`)
  assert.ok(residentKiB(server).peak - idleKiB < STREAMING_GROWTH_KIB_MAX)
  context.diagnostic(await bystander.stop())
  assert.equal(await server.stop(), 0)
})

test('write_queue_bytes a subscriber at QoS 0 that reads nothing of 200 MiB loses messages, which are counted, and costs no memory', {
  timeout: TIMEOUT_MS,
}, async (context) => {
  const { server, bystander, idleKiB } = await serve(context)
  const deaf = await subscribeDeaf(server.port, 'deaf', 'flood/0', 0, true)
  const since = performance.now()
  await flood(server.port, 'flood/0', 0)
  const tookMs = performance.now() - since
  await bystander.further(20)
  const grownKiB = residentKiB(server).peak - idleKiB
  const dropped = await metric(server, 'robustmq_messages_dropped_total{reason="queue_full"}')
  context.diagnostic(`published in ${tookMs.toFixed(0)} ms, ${dropped} of ${COUNT} dropped; at most ${grownKiB >> 10} MiB more resident`)
  assert.ok(dropped > 0, 'what does not fit into its queue is dropped')
  assert.ok(grownKiB < STREAMING_GROWTH_KIB_MAX, `${grownKiB >> 10} MiB more`)

  deaf.startReading()
  const got = (await deaf.drain()).filter((packet) => packet.cmd === 'publish').length
  assert.equal(got + dropped, COUNT, 'every message was delivered or counted as dropped')
  deaf.destroy()
  context.diagnostic(await bystander.stop())
  assert.equal(await server.stop(), 0)
})

test('a client that subscribes, reads nothing and comes back again and again does not hold up the publishers of others for long', {
  timeout: TIMEOUT_MS,
}, async (context) => {
  const { server, bystander } = await serve(context)
  let flooding = true
  const { client: publisher } = await RawClient.connect(server.port, 'flood')
  const flooded = (async (): Promise<number> => {
    let bursts = 0
    while (flooding) {
      await publisher.sendAndFlush(burst('flood/0', 0, 0))
      bursts++
    }
    return bursts
  })()
  const since = performance.now()
  const roundsBefore = bystander.rounds
  for (let visit = 0; visit < 20; visit++) {
    const deaf = await subscribeDeaf(server.port, `deaf${visit}`, 'flood/0', 0, true)
    await bystander.further(5)
    deaf.destroy()
  }
  const tookMs = performance.now() - since
  flooding = false
  const bursts = await flooded
  publisher.destroy()
  context.diagnostic(`20 visits in ${tookMs.toFixed(0)} ms: ${bystander.rounds - roundsBefore} rounds of others, ${bursts} bursts flooded`)
  context.diagnostic(await bystander.stop())
  assert.equal(await server.stop(), 0)
})
