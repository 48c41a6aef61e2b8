// SPDX-License-Identifier: Apache-2.0
// Runs seeds of the engine, and tells of a failure so that it can be repeated.
import { inspect } from 'node:util'
import { type ClusterArguments, kindOf } from '../cluster/cluster-main.ts'
import { type EngineResult, EngineSimulation } from './engine-simulation.ts'

/** The exit code of the command. */
export async function runEngines({ from, count, hash, brief, tailLines }: Omit<ClusterArguments, 'minimize'>): Promise<number> {
  const totals = { events: 0, records: 0, reads: 0, tailBatches: 0, faults: 0, deaths: 0, virtualMs: 0 }
  const reached = new Map<string, number>()
  const startedMs = Date.now()
  for (let seed = from; seed < from + count; seed++) {
    const simulation = new EngineSimulation({ seed })
    let result: EngineResult
    try {
      result = await simulation.run()
    } catch (error) {
      if (brief) process.stdout.write(`found ${seed} ${kindOf(error)}\n`)
      else if (hash) process.stdout.write(`engine ${seed} hash ${simulation.hash()} failed: ${kindOf(error)}\n`)
      else await explain(seed, tailLines, error)
      return 1
    }
    if (hash) process.stdout.write(`engine ${seed} hash ${result.hash}\n`)
    for (const name of Object.keys(totals) as (keyof typeof totals)[]) totals[name] += result[name]
    for (const [name, times] of result.reached) reached.set(name, (reached.get(name) ?? 0) + times)
  }
  if (hash) return 0
  const { events, records, reads, tailBatches, faults, deaths, virtualMs } = totals
  const seconds = (Date.now() - startedMs) / 1000
  const speed = `${Math.round(events / seconds)} events/s, ${Math.round(virtualMs / 1000 / seconds)} x real time`
  const done = `${events} events, ${records} records, ${reads} reads, ${tailBatches} batches of the tail, ${faults} faults, ${deaths} deaths`
  process.stdout.write(`all ${count} engines passed: ${done} in ${seconds.toFixed(1)} s (${speed})\n`)
  const told = [...reached].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, times]) => `${name} ${times}`)
  process.stdout.write(`  reached: ${told.join(', ')}\n`)
  return 0
}

/** The same seed again, with its trace. */
async function explain(seed: number, tailLines: number, error: unknown): Promise<void> {
  const again = new EngineSimulation({ seed, recording: true })
  const second: unknown = await again.run().then(
    () => undefined,
    (failure: unknown) => failure,
  )
  const lines = [
    ...again.world.trace.tail().slice(-tailLines),
    '--- log',
    ...again.log.tail().slice(-tailLines),
    '--- configuration',
    inspect(again.configuration, { depth: null }),
    `--- engine ${seed} failed after ${again.world.nowMs.toFixed(3)} virtual ms`,
    inspect(second ?? error),
    `repeat: node dist/test/sim/main.js --engine --seed ${seed}`,
  ]
  if (kindOf(second) !== kindOf(error)) lines.push(`NOT DETERMINISTIC: the first run gave ${inspect(error)}`)
  process.stderr.write(`${lines.join('\n')}\n`)
}
