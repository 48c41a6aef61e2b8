// SPDX-License-Identifier: Apache-2.0
// What an acknowledgement means: the process is killed again and again under load, and nothing that was acknowledged is missing.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { untilMetric } from './process-figures.ts'
import { assertDelivery, distinctReached, lastReached, Publisher, readAll, subscribeAndLeave } from './publisher.ts'
import { ServerProcess, type TestLife, temporaryDirectory } from './server-process.ts'

const PUBLISHERS = 4
const WINDOW = 200
/** So that the segments are several files. */
const PAYLOAD_BYTES = 200
const ROUNDS = 4
/** Messages acknowledged, all publishers together, before the process is killed. */
const KILL_AFTER = 5_000
/** Small enough for several files to be begun, and given up, in each life of the process. */
const RETENTION = ['engine.retention.max_bytes=1MiB', 'engine.retention.check_interval=1s']

const PLACES = (['rocksdb', 'segment'] as const).flatMap((storage) =>
  (['shared', 'independent'] as const).map((model) => ({
    storage,
    where: `type ${storage}, model ${model}`,
    settings: [`engine.default_storage=${storage}`, `engine.default_model=${model}`, 'engine.segment_bytes=1MiB'],
  })),
)

interface KillLoop {
  readonly qos: 1 | 2
  readonly settings: readonly string[]
  /** Of the lives that are killed under load, but not of the one that is read from: what is being read must not be removed meanwhile. */
  readonly loadSettings?: readonly string[]
  /** What must have happened in each of these lives, besides enough messages. */
  readonly until?: (server: ServerProcess) => Promise<unknown>
}

/** Publishes under one kill after the other, and ends with every message acknowledged. */
async function publishAndKill(
  context: TestLife,
  { qos, settings, loadSettings = [], until }: KillLoop,
): Promise<{ readonly server: ServerProcess; readonly publishers: readonly Publisher[] }> {
  const directory = temporaryDirectory(context)
  const start = (): Promise<ServerProcess> => ServerProcess.start({ directory, settings: [...settings, ...loadSettings], context })
  let server = await start()
  await subscribeAndLeave(server.port, 'reader', qos)
  let target = KILL_AFTER
  let reached = (): void => undefined
  let count = 0
  const onAck = (): void => {
    if (++count === target) reached()
  }
  const publishers = Array.from(
    { length: PUBLISHERS },
    (_, at) => new Publisher(`p${at}`, { qos, window: WINDOW, payloadBytes: PAYLOAD_BYTES, onAck }),
  )
  for (let round = 0; round < ROUNDS; round++) {
    const enough = new Promise<void>((resolve) => {
      reached = resolve
    })
    for (const publisher of publishers) await publisher.connect(server.port)
    await enough
    await until?.(server)
    await server.kill()
    for (const publisher of publishers) publisher.destroy()
    target = count + KILL_AFTER
    server = await start()
  }
  // The publishers come back and finish what they owe, so that every message has a known outcome.
  for (const publisher of publishers) await publisher.finish(server.port)
  await server.kill()
  return { server: await ServerProcess.start({ directory, settings, context }), publishers }
}

for (const { storage, where, settings } of PLACES) {
  test(`Q1 kill -9 under load loses no acknowledged QoS 2 message of ${where}; the absent subscriber gets each exactly once, in order`, async (context) => {
    const { server, publishers } = await publishAndKill(context, { qos: 2, settings })
    const sent = publishers.reduce((sum, publisher) => sum + publisher.sent, 0)
    const received = await readAll(server.port, 'reader', distinctReached(sent))
    assertDelivery(publishers, received, { qos: 2 })
    assert.equal(await server.stop(), 0)
  })

  test(`Q1 L28 kill -9 under load, with retention running, loses no acknowledged QoS 1 message of ${where} that is newer than what retention removed`, async (context) => {
    const removal = `robustmq_engine_retention_records_total{storage="${storage}"}`
    const removed = (server: ServerProcess): Promise<number> => untilMetric(server, removal, (count) => count > 0)
    const { server, publishers } = await publishAndKill(context, { qos: 1, settings, loadSettings: RETENTION, until: removed })
    const received = await readAll(server.port, 'reader', lastReached(publishers))
    assertDelivery(publishers, received, { qos: 1, oldestRemoved: true })
    assert.equal(await server.stop(), 0)
  })
}
