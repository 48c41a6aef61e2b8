// SPDX-License-Identifier: Apache-2.0
// Delayed messages and the death of the process: what was acknowledged is published once, whenever the process is killed, and not before its time.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { IPublishPacket } from 'mqtt-packet'
import { distinctReached, readAll, subscribeAndLeave } from './publisher.ts'
import { RawClient } from './raw-client.ts'
import { ServerProcess, temporaryDirectory } from './server-process.ts'

const MESSAGES = 1_200
/** The first are due so long after they were sent; the others a second, two, three later. */
const DELAY_SECONDS = 3
const SPREAD_SECONDS = 4
/** Messages that a watcher sees after a start before the process is killed again. */
const KILL_AFTER = 40
const KILLS = 4

const delayOf = (at: number): number => DELAY_SECONDS + (at % SPREAD_SECONDS)

/** Publishes all; resolves when they are acknowledged. */
async function publishAll(port: number, qos: 1 | 2): Promise<void> {
  const { client } = await RawClient.connect(port, 'publisher', { clean: false })
  for (let at = 0; at < MESSAGES; at++) {
    const topic = `$delayed/${delayOf(at)}/load/d${at % SPREAD_SECONDS}`
    client.send({ cmd: 'publish', topic, payload: `d:${at}.`, qos, dup: false, retain: false, messageId: at + 1 })
  }
  const last = qos === 1 ? 'puback' : 'pubcomp'
  client.onPacket = ({ cmd, messageId }) => {
    // Answers of both kinds come as they are ready.
    if (cmd === 'pubrec') client.send({ cmd: 'pubrel', messageId: messageId as number })
    return cmd === 'pubrec'
  }
  for (let left = MESSAGES; left > 0; left--) await client.next(last)
  client.destroy()
}

const sequenceOf = ({ payload }: IPublishPacket): number => Number(payload.toString().slice(2, -1))

for (const qos of [1, 2] as const) {
  test(`Q1 Q3 kill -9 before and while they are published: each acknowledged delayed QoS ${qos} message comes once, not early`, async (context) => {
    const directory = temporaryDirectory(context)
    let server = await ServerProcess.start({ directory, context })
    await subscribeAndLeave(server.port, 'reader', 2)
    const sentMs = Date.now()
    await publishAll(server.port, qos)
    await server.kill()
    let seen = 0
    for (let kill = 0; kill < KILLS; kill++) {
      server = await ServerProcess.start({ directory, context })
      const { client: watcher } = await RawClient.connect(server.port, `watcher${kill}`)
      watcher.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'load/#', qos: 0 }] })
      await watcher.next('suback')
      // What has become due while the process was down is published before it serves: there may be less left to see.
      for (let count = 0; count < KILL_AFTER && Date.now() - sentMs < (DELAY_SECONDS + SPREAD_SECONDS - 1) * 1000; count++) {
        const message = await watcher.next('publish')
        assert.ok(Date.now() - sentMs >= delayOf(sequenceOf(message)) * 1000, `${message.payload} came early`)
        seen++
      }
      await server.kill()
    }
    assert.ok(seen > 0, 'the process was killed while messages were being published')
    server = await ServerProcess.start({ directory, context })
    const received = await readAll(server.port, 'reader', distinctReached(MESSAGES))
    assert.deepEqual(
      received.map(sequenceOf).sort((a, b) => a - b),
      Array.from({ length: MESSAGES }, (_, at) => at),
    )
    assert.equal(await server.stop(), 0)
  })
}

test('a stop keeps what waits; what has become due meanwhile is published at the next start', async (context) => {
  const directory = temporaryDirectory(context)
  let server = await ServerProcess.start({ directory, context })
  await subscribeAndLeave(server.port, 'reader', 2)
  const { client } = await RawClient.connect(server.port, 'publisher')
  for (const [seconds, payload] of [
    [1, 'd:0.'],
    [3600, 'd:1.'],
  ] as const) {
    client.send({ cmd: 'publish', topic: `$delayed/${seconds}/load/d`, payload, qos: 1, dup: false, retain: false, messageId: 1 })
    await client.next('puback')
  }
  assert.equal(await server.stop(), 0)
  server = await ServerProcess.start({ directory, context })
  const received = await readAll(server.port, 'reader', distinctReached(1))
  assert.deepEqual(received.map(sequenceOf), [0])
  const metrics = await (await fetch(`http://127.0.0.1:${server.httpPort}/metrics`)).text()
  assert.match(metrics, /^robustmq_delayed_messages 1$/m)
})
