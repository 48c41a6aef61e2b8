// SPDX-License-Identifier: Apache-2.0
// An attacker and bystanders: whatever sessions the attacker makes up, the server neither dies nor stalls nor grows, and messages of others arrive.
//
//   FUZZ_SECONDS=3600 FUZZ_SEED=7 node dist/test/fuzz/two-party.test.js    longer, with a seed of your own
//   FUZZ_SEED=7 FUZZ_FIRST=1234 FUZZ_COUNT=8 node dist/test/...            those attacks again that a failure named
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Bystander } from '../cluster/bystander.ts'
import { metric, residentKiB, sockets, untilMetric } from '../cluster/process-figures.ts'
import { RawClient } from '../cluster/raw-client.ts'
import { ServerProcess, temporaryDirectory } from '../cluster/server-process.ts'
import { attackOf, perform } from './attack.ts'

const given = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise)
const SECONDS = given('FUZZ_SECONDS', 20)
const SEED = given('FUZZ_SEED', Date.now() % 1_000_000)
const FIRST = given('FUZZ_FIRST', 0)
const COUNT = given('FUZZ_COUNT', Number.MAX_SAFE_INTEGER)

/** Attackers side by side. */
const LANES = 12
/** A PINGREQ and a message at QoS 1 are answered within this, however busy the machine of the test is. */
const STALL_MS_MAX = 60_000
/** The high-water mark of a busy server over that of an idle one. */
const GROWTH_MIB_MAX = 400
const SOCKETS_GROWTH_MAX = 40

/** What attacks leave behind is bounded, and those bounds are small, so that memory which grows is memory that leaks. */
const SETTINGS = [
  ...['log.level=error', 'mqtt.max_packet_size=256KiB', 'mqtt.session_expiry_max=5s', 'mqtt.retained_max_messages=200'],
  ...['engine.memory_bytes=8MiB', 'engine.tail_bytes=8MiB', 'engine.wal_bytes=64MiB'],
]
const BYSTANDERS = 2

/** Spreads the seeds of consecutive attacks. */
const seedOf = (index: number): number => Math.imul(SEED + 1, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)

class Attackers {
  /** The attacks under way, and the last ones before them. */
  readonly #recent: number[] = []
  readonly #endMs: number
  #next = FIRST
  #isFailed = false

  constructor(endMs: number) {
    this.#endMs = endMs
  }

  get count(): number {
    return this.#next - FIRST
  }

  /** Rejects when the server keeps a connection that its client has left. */
  async attack(port: number): Promise<void> {
    while (!this.#isFailed && performance.now() < this.#endMs && this.count < COUNT) {
      const index = this.#next++
      this.#recent.push(index)
      if (this.#recent.length > 2 * LANES) this.#recent.shift()
      await perform(attackOf(seedOf(index)), port)
    }
  }

  /** What to run again, and the bytes themselves. */
  tell(): string {
    this.#isFailed = true
    const lines = this.#recent.map((index) => {
      const { chunks, ending } = attackOf(seedOf(index))
      return `attack ${index}, then ${ending}: ${chunks.map((chunk) => chunk.toString('hex')).join(' ')}`
    })
    return `FUZZ_SEED=${SEED} FUZZ_FIRST=${this.#recent[0] ?? FIRST} FUZZ_COUNT=${this.#recent.length}\n${lines.join('\n')}`
  }
}

/** Asks a question now and then, which must be answered soon. */
async function watch(port: number, isOver: () => boolean): Promise<number> {
  const { client } = await RawClient.connect(port, 'watch')
  let longestMs = 0
  while (!isOver()) {
    const since = performance.now()
    client.send({ cmd: 'pingreq' })
    await client.next('pingresp')
    longestMs = Math.max(longestMs, performance.now() - since)
    assert.ok(longestMs < STALL_MS_MAX, `PINGREQ was answered after ${longestMs.toFixed(0)} ms`)
    // Attackers have the turns between.
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  client.destroy()
  return longestMs
}

test('whatever sessions an attacker makes up, the others are served, nothing stalls, and nothing is left of it', {
  timeout: (SECONDS + 90) * 1000,
}, async (context) => {
  console.log(`FUZZ_SEED=${SEED} FUZZ_SECONDS=${SECONDS}`)
  const server = await ServerProcess.start({ directory: temporaryDirectory(context), settings: SETTINGS, context })
  const bystander = await Bystander.start(server.port)
  await bystander.further(20)
  const before = { sockets: sockets(server), memoryKiB: residentKiB(server).now }
  const attackers = new Attackers(performance.now() + SECONDS * 1000)
  let isOver = false
  try {
    const died = server.exited.then((code) => assert.fail(`the server ended with ${code}`))
    const watching = watch(server.port, () => isOver)
    const attacking = Promise.all(Array.from({ length: LANES }, () => attackers.attack(server.port)))
    // The talk of the bystanders rejects here when it breaks down, and not at the end only.
    const talking = (async () => {
      while (!isOver) await bystander.further(1)
    })()
    await Promise.race([attacking, died, watching.then(() => attacking), talking.then(() => attacking)])
    isOver = true
    const longestMs = await watching
    await talking
    await bystander.further(20)
    await untilMetric(server, 'robustmq_connections', (count) => count <= BYSTANDERS)
    const grown = { sockets: sockets(server) - before.sockets, memoryMiB: (residentKiB(server).peak - before.memoryKiB) / 1024 }
    const malformed = await metric(server, 'robustmq_malformed_packets_total')
    console.log(
      `${attackers.count} attacks, ${malformed} malformed packets, memory +${grown.memoryMiB.toFixed(0)} MiB at its highest, ` +
        `sockets +${grown.sockets}, PINGREQ answered within ${longestMs.toFixed(0)} ms`,
    )
    console.log(await bystander.stop())
    assert.ok(bystander.longestMs < STALL_MS_MAX, `a message took ${bystander.longestMs.toFixed(0)} ms`)
    assert.ok(grown.memoryMiB < GROWTH_MIB_MAX, `memory grew by ${grown.memoryMiB.toFixed(0)} MiB`)
    assert.ok(grown.sockets < SOCKETS_GROWTH_MAX, `${grown.sockets} more sockets are open`)
    assert.equal(await server.stop(), 0)
    assert.doesNotMatch(server.stderr, /fatal|assert|uncaught|unhandled/i)
  } catch (error) {
    isOver = true
    console.log(attackers.tell())
    // The connections of a server that dies are closed a moment before its end is known.
    const ended = await Promise.race([server.exited, new Promise((resolve) => setTimeout(resolve, 1000, undefined))])
    if (ended !== undefined) console.log(`the server ended with ${ended}:\n${server.stderr.slice(-4000)}`)
    throw error
  }
})
