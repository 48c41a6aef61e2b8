// SPDX-License-Identifier: Apache-2.0
// Runs seeds of the cluster simulation, and tells of a failure so that it can be repeated and made small.
import { inspect } from 'node:util'
import { explain, failureOf, kindOf, messageOf } from '../failure.ts'
import { addReached, type Reached, reachedLine } from '../reached.ts'
import { type ClusterOptions, type ClusterResult, ClusterSimulation } from './cluster-simulation.ts'
import { kindsOf, minimized, type Reduction } from './minimize.ts'
import { STORIES } from './stories.ts'
import { TOPOLOGIES } from './topologies.ts'

export interface ClusterArguments {
  readonly from: number
  readonly count: number
  readonly hash: boolean
  readonly minimize: boolean
  readonly brief: boolean
  readonly tailLines: number
}

const PROGRESS_MS = 5_000

interface Totals {
  runs: number
  events: number
  virtualMs: number
  calls: number
  elections: number
  membershipChanges: number
  readonly reached: Reached
  /** Of clusters of three: virtual time, and what it cost. */
  threeVirtualMs: number
  threeCpuMs: number
}

/** The exit code of the command. */
export async function runClusters(given: ClusterArguments): Promise<number> {
  const totals: Totals = {
    runs: 0,
    events: 0,
    virtualMs: 0,
    calls: 0,
    elections: 0,
    membershipChanges: 0,
    reached: new Map(),
    threeVirtualMs: 0,
    threeCpuMs: 0,
  }
  const startedMs = Date.now()
  let reportedMs = startedMs
  for (let seed = given.from; seed < given.from + given.count; seed++) {
    const cpu = process.cpuUsage()
    const result = await runSeed(seed, given)
    if (result === undefined) return 1
    if (result.voters === 3) {
      const { user, system } = process.cpuUsage(cpu)
      totals.threeCpuMs += (user + system) / 1000
      totals.threeVirtualMs += result.virtualMs
    }
    if (given.hash) process.stdout.write(`cluster ${seed} hash ${result.hash}\n`)
    add(totals, result)
    if (Date.now() - reportedMs < PROGRESS_MS || given.hash) continue
    reportedMs = Date.now()
    report(`${totals.runs} of ${given.count} clusters passed`, totals, startedMs)
  }
  if (!given.hash) report(`all ${given.count} clusters passed`, totals, startedMs)
  return 0
}

/** Runs of each topology that lasts for ever (T11), and of each story. The seed varies the rest. */
export async function runTopologies({ from, count, brief }: ClusterArguments): Promise<number> {
  for (let seed = from; seed < from + count; seed++) {
    for (const part of [...TOPOLOGIES.map((topology) => ({ topology })), ...STORIES.map((story) => ({ story }))]) {
      const failure = await failureOf(new ClusterSimulation({ seed, ...part }))
      if (failure === undefined) continue
      const { name } = 'story' in part ? part.story : part.topology
      if (brief) process.stdout.write(`found ${seed} ${kindOf(failure)}\n`)
      else process.stderr.write(`${inspect(failure)}\n--- with seed ${seed}: ${name}\n`)
      return 1
    }
  }
  process.stdout.write(`all ${TOPOLOGIES.length} topologies and ${STORIES.length} stories passed with ${count} seeds\n`)
  return 0
}

/** Undefined after a failure, which has been told. */
async function runSeed(seed: number, given: ClusterArguments): Promise<ClusterResult | undefined> {
  const simulation = new ClusterSimulation({ seed })
  try {
    return await simulation.run()
  } catch (error) {
    if (given.brief) process.stdout.write(`found ${seed} ${kindOf(error)}\n`)
    else if (given.hash) process.stdout.write(`cluster ${seed} hash ${simulation.hash()} failed: ${messageOf(error)}\n`)
    else await tell(given.minimize ? await smallest(seed, error) : { seed }, given.tailLines, error)
    return undefined
  }
}

const tell = (options: ClusterOptions, tailLines: number, error: unknown): Promise<void> =>
  explain(error, {
    again: new ClusterSimulation({ ...options, recording: true }),
    name: `cluster ${options.seed}`,
    repeat: `--cluster --seed ${options.seed}${options.without === undefined ? '' : ' --minimize'}`,
    tailLines,
    sameBy: kindOf,
  })

/** The smallest run that fails in the same way. */
async function smallest(seed: number, failure: unknown): Promise<ClusterOptions> {
  const { faults, workload } = new ClusterSimulation({ seed }).configuration
  const isSame = async (reduction: Reduction): Promise<boolean> =>
    kindOf(await failureOf(new ClusterSimulation({ seed, ...reduction }))) === kindOf(failure)
  return { seed, ...(await minimized(kindsOf(faults), workload.durationMs, isSame)) }
}

function add(totals: Totals, { events, virtualMs, calls, elections, membershipChanges, faults, probes }: ClusterResult): void {
  totals.runs++
  totals.events += events
  totals.virtualMs += virtualMs
  totals.calls += calls
  totals.elections += elections
  totals.membershipChanges += membershipChanges
  addReached(totals.reached, [...faults, ...probes])
}

function report(what: string, totals: Totals, startedMs: number): void {
  const seconds = (Date.now() - startedMs) / 1000
  const speed = `${Math.round(totals.events / seconds)} events/s, ${Math.round(totals.virtualMs / 1000 / seconds)} x real time`
  const counts = `${totals.calls} calls, ${totals.elections} elections, ${totals.membershipChanges} changes of the membership`
  process.stdout.write(`${what}: ${totals.events} events, ${counts} in ${seconds.toFixed(1)} s (${speed})\n`)
  // The time of the processor, unlike that of the clock, is the same on a busy machine.
  if (totals.threeCpuMs > 0)
    process.stdout.write(
      `  clusters of three: ${Math.round(totals.threeVirtualMs / totals.threeCpuMs)} virtual s in a second of processor time\n`,
    )
  process.stdout.write(reachedLine(totals.reached))
}
