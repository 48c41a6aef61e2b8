// SPDX-License-Identifier: Apache-2.0
// Runs seeds of clusters that share metadata, and tells of a failure so that it can be repeated.
import { explain, failureOf, kindOf } from '../../failure.ts'
import { addReached, type Reached, reachedLine } from '../../reached.ts'
import type { ClusterArguments } from '../cluster-main.ts'
import { kindsOf, minimized, type Reduction } from '../minimize.ts'
import { type MetaOptions, type MetaResult, MetaSimulation } from './meta-simulation.ts'

/** The exit code of the command. */
export async function runMetaClusters({ from, count, hash, minimize, brief, tailLines }: ClusterArguments): Promise<number> {
  const totals = { events: 0, calls: 0, revisions: 0, takeovers: 0, replaced: 0, virtualMs: 0 }
  const reached: Reached = new Map()
  const startedMs = Date.now()
  for (let seed = from; seed < from + count; seed++) {
    let result: MetaResult
    try {
      result = await new MetaSimulation({ seed }).run()
    } catch (error) {
      if (brief) process.stdout.write(`found ${seed} ${kindOf(error)}\n`)
      else await tell(minimize ? await smallest(seed, error) : { seed }, tailLines, error)
      return 1
    }
    if (hash) process.stdout.write(`metadata ${seed} hash ${result.hash}\n`)
    totals.events += result.events
    totals.calls += result.calls
    totals.revisions += result.revisions
    totals.takeovers += result.takeovers
    totals.replaced += result.replaced
    totals.virtualMs += result.virtualMs
    addReached(reached, [...result.faults, ...result.probes])
  }
  if (hash) return 0
  const seconds = (Date.now() - startedMs) / 1000
  const { events, calls, revisions, takeovers, replaced } = totals
  const done = `${events} events, ${calls} calls, ${revisions} revisions, ${takeovers} takeovers, ${replaced} nodes replaced in ${seconds.toFixed(1)} s`
  process.stdout.write(`all ${count} metadata clusters passed: ${done} (${Math.round(totals.virtualMs / 1000 / seconds)} x real time)\n`)
  process.stdout.write(reachedLine(reached))
  return 0
}

/** The smallest run that fails in the same way. */
async function smallest(seed: number, failure: unknown): Promise<MetaOptions> {
  const { faults, workload } = new MetaSimulation({ seed }).configuration
  const isSame = async (reduction: Reduction): Promise<boolean> =>
    kindOf(await failureOf(new MetaSimulation({ seed, ...reduction }))) === kindOf(failure)
  return { seed, ...(await minimized(kindsOf(faults), workload.durationMs, isSame)) }
}

/** The same run again, with its trace. */
const tell = (options: MetaOptions, tailLines: number, error: unknown): Promise<void> =>
  explain(error, {
    again: new MetaSimulation({ ...options, recording: true }),
    name: `metadata cluster ${options.seed}`,
    repeat: `--meta --seed ${options.seed}${options.without === undefined ? '' : ' --minimize'}`,
    tailLines,
    sameBy: kindOf,
  })
