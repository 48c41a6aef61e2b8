// SPDX-License-Identifier: Apache-2.0
// Runs seeds of the engine, and tells of a failure so that it can be repeated.
import type { ClusterArguments } from '../cluster/cluster-main.ts'
import { explain, kindOf } from '../failure.ts'
import { addReached, type Reached, reachedLine } from '../reached.ts'
import { type EngineResult, EngineSimulation } from './engine-simulation.ts'

/** The exit code of the command. */
export async function runEngines({ from, count, hash, brief, tailLines }: Omit<ClusterArguments, 'minimize'>): Promise<number> {
  const totals = { events: 0, records: 0, reads: 0, tailBatches: 0, faults: 0, deaths: 0, virtualMs: 0 }
  const reached: Reached = new Map()
  const startedMs = Date.now()
  for (let seed = from; seed < from + count; seed++) {
    const simulation = new EngineSimulation({ seed })
    let result: EngineResult
    try {
      result = await simulation.run()
    } catch (error) {
      if (brief) process.stdout.write(`found ${seed} ${kindOf(error)}\n`)
      else if (hash) process.stdout.write(`engine ${seed} hash ${simulation.hash()} failed: ${kindOf(error)}\n`)
      else
        await explain(error, {
          again: new EngineSimulation({ seed, recording: true }),
          name: `engine ${seed}`,
          repeat: `--engine --seed ${seed}`,
          tailLines,
          sameBy: kindOf,
        })
      return 1
    }
    if (hash) process.stdout.write(`engine ${seed} hash ${result.hash}\n`)
    for (const name of Object.keys(totals) as (keyof typeof totals)[]) totals[name] += result[name]
    addReached(reached, result.reached)
  }
  if (hash) return 0
  const { events, records, reads, tailBatches, faults, deaths, virtualMs } = totals
  const seconds = (Date.now() - startedMs) / 1000
  const speed = `${Math.round(events / seconds)} events/s, ${Math.round(virtualMs / 1000 / seconds)} x real time`
  const done = `${events} events, ${records} records, ${reads} reads, ${tailBatches} batches of the tail, ${faults} faults, ${deaths} deaths`
  process.stdout.write(`all ${count} engines passed: ${done} in ${seconds.toFixed(1)} s (${speed})\n`)
  process.stdout.write(reachedLine(reached))
  return 0
}
