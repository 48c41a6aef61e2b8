// SPDX-License-Identifier: Apache-2.0
// A soak in small: publishers that never stop, sessions that come, catch up and go, and retention so tight that everything stored is replaced again and again.
// Memory, descriptors and disk must become flat.
//
//   node dist/test/bench/soak.js [MINUTES = 10]
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { metric } from '../cluster/process-figures.ts'
import { ServerProcess } from '../cluster/server-process.ts'
import { LoadClient, type LoadMessage } from './load-client.ts'
import { bytesBelow, residentBytes } from './million-topics.ts'

const CONFIG = `
[engine]
wal_bytes = "32MiB"
tail_bytes = "16MiB"
memory_bytes = "16MiB"
segment_bytes = "4MiB"
scrub_rate = "8MiB"
[engine.retention]
max_age = "90s"
max_bytes = "64MiB"
check_interval = "10s"
[[topic]]
filter = "soak/segment/#"
storage = "segment"
[[topic]]
filter = "soak/rocksdb/#"
storage = "rocksdb"
[[topic]]
filter = "soak/short/#"
max_age = "30s"
max_bytes = "64KiB"
[[topic]]
filter = "soak/own-segment/#"
storage = "segment"
model = "independent"
max_bytes = "2MiB"
[[topic]]
filter = "soak/own-rocksdb/#"
storage = "rocksdb"
model = "independent"
max_bytes = "2MiB"
`

/** Those with a log for each topic have few topics, the same all the time. */
const KINDS = ['rocksdb', 'short', 'segment', 'own-segment', 'own-rocksdb'] as const
const TOPICS = 100
const OWN_TOPICS = 10
/** Bursts after which the names come again. */
const ROUNDS = 200
/** Messages between two pauses of a publisher, and a session's stay. */
const BURST = 1000
const PAUSE_MS = 250
const SAMPLE_MS = 15_000

export interface SoakSample {
  readonly seconds: number
  readonly residentMiB: number
  readonly descriptors: number
  readonly diskMiB: number
  readonly topics: number
  readonly published: number
  readonly received: number
}

class Soak {
  readonly #server: ServerProcess
  readonly #untilMs: number
  published = 0
  received = 0

  constructor(server: ServerProcess, untilMs: number) {
    this.#server = server
    this.#untilMs = untilMs
  }

  get #running(): boolean {
    return performance.now() < this.#untilMs
  }

  /** The names of the topics change from burst to burst, so that topics come and go too. */
  *#burst(kind: string, round: number): Generator<LoadMessage> {
    const payload = Buffer.alloc(256, kind)
    const own = kind.startsWith('own')
    for (let index = 0; index < BURST; index++)
      yield { topic: `soak/${kind}/${own ? 0 : round % ROUNDS}/${index % (own ? OWN_TOPICS : TOPICS)}`, payload }
  }

  async publish(kind: string): Promise<void> {
    const client = await LoadClient.connect(this.#server.port, `publisher-${kind}`, { clean: true })
    for (let round = 0; this.#running; round++) {
      this.published += await client.publish(this.#burst(kind, round))
      await pause(PAUSE_MS)
    }
    await client.disconnect()
  }

  /** A persistent session that is away most of the time. */
  async comeAndGo(kind: string): Promise<void> {
    for (let visit = 0; this.#running; visit++) {
      const client = await LoadClient.connect(this.#server.port, `session-${kind}`, { clean: false })
      if (visit === 0) await client.subscribe(`soak/${kind}/+/7`, 1)
      await pause(PAUSE_MS)
      this.received += client.received
      await client.disconnect()
      await pause(8 * PAUSE_MS)
    }
  }

  /** A session that is new each time, and ends. */
  async visit(kind: string): Promise<void> {
    for (let visit = 0; this.#running; visit++) {
      const client = await LoadClient.connect(this.#server.port, `visitor-${kind}-${visit}`, { clean: true })
      await client.subscribe(`soak/${kind}/#`, 1)
      await pause(2 * PAUSE_MS)
      this.received += client.received
      client.destroy()
    }
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Runs for so long; `onSample` sees the figures at the beginning, every 15 s, and at the end. */
export async function soak(minutes: number, directory: string, onSample: (sample: SoakSample) => void): Promise<void> {
  const server = await ServerProcess.start({ directory, config: CONFIG })
  try {
    const beganMs = performance.now()
    const load = new Soak(server, beganMs + minutes * 60_000)
    const sample = async (): Promise<void> =>
      onSample({
        seconds: Math.round((performance.now() - beganMs) / 1000),
        residentMiB: Math.round(residentBytes(server) / 2 ** 20),
        descriptors: readdirSync(`/proc/${server.pid}/fd`).length,
        diskMiB: Math.round(bytesBelow(directory) / 2 ** 20),
        topics: await metric(server, 'robustmq_engine_topics'),
        published: load.published,
        received: load.received,
      })
    await sample()
    let ended = false
    const sampling = (async () => {
      for (let seconds = 0; !ended; seconds++) {
        if (seconds > 0 && seconds % (SAMPLE_MS / 1000) === 0) await sample()
        await pause(1000)
      }
    })()
    await Promise.all(KINDS.flatMap((kind) => [load.publish(kind), load.comeAndGo(kind), load.visit(kind)]))
    ended = true
    await sampling
    await sample()
    const code = await server.stop()
    if (code !== 0) throw new Error(`the node ended with ${code}:\n${server.stderr}`)
  } finally {
    await server.kill()
  }
}

async function main(words: readonly string[]): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'robustmq-soak-'))
  try {
    await soak(Number(words[0] ?? 10), directory, (sample) => process.stdout.write(`${JSON.stringify(sample)}\n`))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2))
