// SPDX-License-Identifier: Apache-2.0
// What an acknowledgement means: the process is killed again and again under load, and nothing that was acknowledged is missing.
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { assertDelivery, distinctReached, Publisher, readAll, subscribeAndLeave } from './publisher.ts'
import { ServerProcess, temporaryDirectory } from './server-process.ts'

const PUBLISHERS = 4
const WINDOW = 200
/** So that the segments are several files. */
const PAYLOAD_BYTES = 200
const ROUNDS = 4
/** Messages acknowledged, all publishers together, before the process is killed. */
const KILL_AFTER = 5_000

const CASES = [
  { qos: 1, settings: [] },
  { qos: 2, settings: [] },
  { qos: 1, settings: ['engine.default_storage=segment', 'engine.segment_bytes=1MiB'] },
  { qos: 2, settings: ['engine.default_storage=segment', 'engine.segment_bytes=1MiB'] },
] as const

for (const { qos, settings } of CASES) {
  const what = qos === 1 ? 'at least once' : 'exactly once'
  const where = settings.length === 0 ? 'rocksdb' : 'segment'
  test(`Q1 kill -9 under load loses no acknowledged QoS ${qos} message of type ${where}; the absent subscriber gets each ${what}, in order`, async (context) => {
    const directory = temporaryDirectory(context)
    let server = await ServerProcess.start({ directory, settings, context })
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
      await server.kill()
      for (const publisher of publishers) publisher.destroy()
      target = count + KILL_AFTER
      server = await ServerProcess.start({ directory, settings, context })
    }
    // The publishers come back and finish what they owe, so that every message has a known outcome.
    for (const publisher of publishers) await publisher.finish(server.port)
    const sent = publishers.reduce((sum, publisher) => sum + publisher.sent, 0)
    const received = await readAll(server.port, 'reader', distinctReached(sent))
    assertDelivery(publishers, received, qos)
    assert.equal(await server.stop(), 0)
    const files = readdirSync(join(directory, 'segments')).filter((name) => name.endsWith('.log'))
    assert.equal(files.length > 1, where === 'segment', 'engine.segment_bytes: messages in segments fill several files, others none')
  })
}
