// SPDX-License-Identifier: Apache-2.0
// Writes per second of one metadata group on three processes of this machine, beside what one fsync costs here. By hand:
//   node dist/test/bench/meta-writes.js [SECONDS]
import { mkdtempSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KvTransaction } from '#contract/client/kv-client'
import { MetaCluster } from '../cluster/meta-cluster.ts'
import type { TestLife } from '../cluster/server-process.ts'

const VALUE = Buffer.alloc(64, 'v')
const FSYNCS = 200
const BATCH = 100

async function main(): Promise<void> {
  const seconds = Number(process.argv[2] ?? 5)
  const ends: (() => Promise<void> | void)[] = []
  const life: TestLife = { after: (end) => ends.unshift(end) }
  try {
    report('fsync of 4 KiB', await timesOfFsync(), 1)
    const cluster = await MetaCluster.start(life)
    const leader = await cluster.leader()
    const client = cluster.client(leader)
    for (const atOnce of [1, 16, 32]) {
      const times = await timesOf((name) => client.put(Buffer.from(name), VALUE), atOnce, seconds * 1000)
      report(`puts of 64 bytes, ${atOnce} at once`, times, atOnce)
    }
    const times = await timesOf((name) => client.transaction(batch(name)), 32, seconds * 1000)
    report(`transactions of ${BATCH} such puts, 32 at once`, times, 32)
  } finally {
    for (const end of ends) await end()
  }
}

async function timesOfFsync(): Promise<readonly number[]> {
  const directory = mkdtempSync(join(tmpdir(), 'robustmq-bench-'))
  const file = await open(join(directory, 'file'), 'w')
  const times: number[] = []
  for (let count = 0; count < FSYNCS; count++) {
    const began = performance.now()
    await file.write(Buffer.alloc(4096, count), 0, 4096, count * 4096)
    await file.datasync()
    times.push(performance.now() - began)
  }
  await file.close()
  rmSync(directory, { recursive: true })
  return times
}

const batch = (name: string): KvTransaction => ({
  compares: [],
  success: Array.from({ length: BATCH }, (_, at) => ({ kind: 'put', key: Buffer.from(`${name} ${at}`), value: VALUE })),
  failure: [],
})

/** Milliseconds that each took. */
async function timesOf(write: (name: string) => Promise<unknown>, atOnce: number, durationMs: number): Promise<readonly number[]> {
  const times: number[] = []
  const end = performance.now() + durationMs
  const work = async (worker: number): Promise<void> => {
    for (let count = 0; performance.now() < end; count++) {
      const began = performance.now()
      await write(`bench ${worker} ${count % 100}`)
      times.push(performance.now() - began)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, (_, worker) => work(worker)))
  return times
}

function report(what: string, times: readonly number[], atOnce: number): void {
  const sorted = [...times].sort((a, b) => a - b)
  const at = (ratio: number): string => (sorted[Math.min(sorted.length - 1, Math.floor(ratio * sorted.length))] ?? 0).toFixed(2)
  const mean = sorted.reduce((sum, time) => sum + time, 0) / sorted.length
  process.stdout.write(`${what}: ${Math.round((1000 * atOnce) / mean)}/s, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms\n`)
}

await main()
