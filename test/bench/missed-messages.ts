// SPDX-License-Identifier: Apache-2.0
// How long a persistent session waits for the few messages that it has missed among many others (D6): at once after it has been away, and again after a
// restart of the node with nothing in memory.
//
//   node dist/test/bench/missed-messages.js [OTHERS ... = 40000 400000 4000000]
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { untilMetric } from '../cluster/process-figures.ts'
import { ServerProcess } from '../cluster/server-process.ts'
import { LoadClient, type LoadMessage } from './load-client.ts'

export interface MissedLoad {
  readonly others: number
  readonly directory: string
  readonly settings?: readonly string[]
}

export interface MissedFigures {
  readonly others: number
  /** From CONNECT to the last of the six messages. */
  readonly reconnectMs: number
  /** The same, of another session, by a node that has just started. */
  readonly restartedMs: number
}

const FILTERS = ['missed/exact', 'missed/+/wildcard']
const MISSED = 6
const OTHER_TOPICS = 10_000

/** One message of the exact topic and five of the wildcard, evenly among the others. */
function* messages(others: number): Generator<LoadMessage> {
  const payload = Buffer.alloc(64, 'm')
  const every = Math.floor(others / MISSED)
  for (let index = 0; index < others; index++) {
    const missed = index / every
    if (index % every === 0 && missed < MISSED) yield { topic: missed === 0 ? 'missed/exact' : `missed/${missed}/wildcard`, payload }
    yield { topic: `other/${index % OTHER_TOPICS}`, payload }
  }
}

export async function measureMissed({ others, directory, settings = [] }: MissedLoad): Promise<MissedFigures> {
  let server = await ServerProcess.start({ directory, settings })
  try {
    for (const clientId of ['first', 'second']) {
      const client = await LoadClient.connect(server.port, clientId, { clean: false })
      for (const filter of FILTERS) await client.subscribe(filter, 1)
      await client.disconnect()
    }
    const publisher = await LoadClient.connect(server.port, 'publisher', { clean: true })
    await publisher.publish(messages(others))
    publisher.destroy()
    await untilMetric(server, 'robustmq_engine_backlog_bytes', (bytes) => bytes === 0)
    const reconnectMs = await untilAllMissed(server.port, 'first')
    await server.stop()
    server = await ServerProcess.start({ directory, settings })
    const restartedMs = await untilAllMissed(server.port, 'second')
    await server.stop()
    return { others, reconnectMs, restartedMs }
  } finally {
    await server.kill()
  }
}

async function untilAllMissed(port: number, clientId: string): Promise<number> {
  const beganMs = performance.now()
  const client = await LoadClient.connect(port, clientId, { clean: false })
  await client.untilReceived(MISSED)
  const lastedMs = client.lastAtMs - beganMs
  await client.disconnect()
  if (client.received !== MISSED) throw new Error(`${client.received} messages, ${MISSED} expected`)
  return lastedMs
}

async function main(words: readonly string[]): Promise<void> {
  for (const others of words.length > 0 ? words.map(Number) : [40_000, 400_000, 4_000_000]) {
    const directory = mkdtempSync(join(tmpdir(), 'robustmq-missed-'))
    try {
      const figures = await measureMissed({ others, directory, settings: ['engine.retention.max_bytes=1TiB'] })
      process.stdout.write(`${JSON.stringify(figures)}\n`)
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2))
