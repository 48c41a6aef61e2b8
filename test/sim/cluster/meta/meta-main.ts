// SPDX-License-Identifier: Apache-2.0
// Runs seeds of clusters that share metadata, and tells of a failure so that it can be repeated.
import { inspect } from 'node:util'
import { type ClusterArguments, kindOf } from '../cluster-main.ts'
import { kindsOf, minimized, type Reduction } from '../minimize.ts'
import { type MetaOptions, type MetaResult, MetaSimulation } from './meta-simulation.ts'

/** The exit code of the command. */
export async function runMetaClusters({ from, count, hash, minimize, brief, tailLines }: ClusterArguments): Promise<number> {
  const totals = { events: 0, calls: 0, revisions: 0, takeovers: 0, replaced: 0, virtualMs: 0 }
  const reached = new Map<string, number>()
  const startedMs = Date.now()
  for (let seed = from; seed < from + count; seed++) {
    let result: MetaResult
    try {
      result = await new MetaSimulation({ seed }).run()
    } catch (error) {
      if (brief) process.stdout.write(`found ${seed} ${kindOf(error)}\n`)
      else await explain(minimize ? await smallest(seed, error) : { seed }, tailLines, error)
      return 1
    }
    if (hash) process.stdout.write(`metadata ${seed} hash ${result.hash}\n`)
    totals.events += result.events
    totals.calls += result.calls
    totals.revisions += result.revisions
    totals.takeovers += result.takeovers
    totals.replaced += result.replaced
    totals.virtualMs += result.virtualMs
    for (const [name, times] of [...result.faults, ...result.probes]) reached.set(name, (reached.get(name) ?? 0) + times)
  }
  if (hash) return 0
  const seconds = (Date.now() - startedMs) / 1000
  const { events, calls, revisions, takeovers, replaced } = totals
  const done = `${events} events, ${calls} calls, ${revisions} revisions, ${takeovers} takeovers, ${replaced} nodes replaced in ${seconds.toFixed(1)} s`
  process.stdout.write(`all ${count} metadata clusters passed: ${done} (${Math.round(totals.virtualMs / 1000 / seconds)} x real time)\n`)
  const told = [...reached].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, times]) => `${name} ${times}`)
  process.stdout.write(`  reached: ${told.join(', ')}\n`)
  return 0
}

/** The smallest run that fails in the same way. */
async function smallest(seed: number, failure: unknown): Promise<MetaOptions> {
  const { faults, workload } = new MetaSimulation({ seed }).configuration
  const isSame = async (reduction: Reduction): Promise<boolean> => kindOf(await failureOf({ seed, ...reduction })) === kindOf(failure)
  return { seed, ...(await minimized(kindsOf(faults), workload.durationMs, isSame)) }
}

const failureOf = (options: MetaOptions): Promise<unknown> =>
  new MetaSimulation(options).run().then(
    () => undefined,
    (failure: unknown) => failure,
  )

/** The same run again, with its trace. */
async function explain(options: MetaOptions, tailLines: number, error: unknown): Promise<void> {
  const { seed } = options
  const again = new MetaSimulation({ ...options, recording: true })
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
    `--- metadata cluster ${seed} failed after ${again.world.nowMs.toFixed(3)} virtual ms`,
    inspect(second ?? error),
    `repeat: node dist/test/sim/main.js --meta --seed ${seed}${options.without === undefined ? '' : ' --minimize'}`,
  ]
  if (kindOf(second) !== kindOf(error)) lines.push(`NOT DETERMINISTIC: the first run gave ${inspect(error)}`)
  process.stderr.write(`${lines.join('\n')}\n`)
}
