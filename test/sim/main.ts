// SPDX-License-Identifier: Apache-2.0
// Runs seeds: `node dist/test/sim/main.js --seeds 1000 [--from 1]`, or one: `--seed 123 [--hash]`. A failing seed is run again with its trace.
// Each of many seeds is run twice: as one node with MQTT clients, and as a cluster; a third of them as an engine by itself, too.
// `--reference` puts the reference broker in the node's place. `--cluster` and `--engine` run these only, `--single` neither.
// `--topologies` runs failures that last for ever, `--mutants` hunts planted bugs.
import { runClusters, runTopologies } from './cluster/cluster-main.ts'
import { runMetaClusters } from './cluster/meta/meta-main.ts'
import { composeProduction } from './composition.ts'
import { runEngines } from './engine/engine-main.ts'
import { explain, kindOf, messageOf } from './failure.ts'
import { huntMutants } from './mutants/mutant-hunt.ts'
import { addReached, type Reached, reachedLine } from './reached.ts'
import { composeReference } from './reference-broker.ts'
import { type ComposeConfigured, Simulation, type SimulationResult } from './simulation.ts'

const TAIL_LINES_DEFAULT = 60
const PROGRESS_MS = 5_000
/** Of so many seeds one is run on nodes that share metadata as well. */
const META_SHARE = 3
/** The same, for the engine by itself. */
const ENGINE_SHARE = 3
const FLAGS: readonly string[] = [
  '--hash',
  '--reference',
  '--cluster',
  '--minimize',
  '--topologies',
  '--single',
  '--brief',
  '--meta',
  '--engine',
]

interface Arguments {
  readonly from: number
  readonly count: number
  readonly hash: boolean
  readonly reference: boolean
  readonly cluster: boolean
  readonly minimize: boolean
  readonly topologies: boolean
  /** Only clusters that share metadata. */
  readonly meta: boolean
  /** Only the engine, without brokers. */
  readonly engine: boolean
  /** Without clusters. */
  readonly single: boolean
  /** Of a failure only the seed and what has found it: for whoever hunts planted bugs. */
  readonly brief: boolean
  /** Lines of trace and of log after a failure. */
  readonly tailLines: number
}

interface Totals {
  events: number
  virtualMs: number
  deliveries: number
  readonly probes: Reached
}

async function main(): Promise<number> {
  const [first, named = ''] = process.argv.slice(2)
  if (first === '--mutants') return huntMutants(named)
  const given = readArguments(process.argv.slice(2))
  if (given === undefined) {
    process.stderr.write(
      [
        'usage: main.js --seeds COUNT [--from SEED] [--single | --engine | --cluster | --meta | --topologies | --reference]',
        '       main.js --seed SEED [--engine | --cluster | --meta] [--hash] [--minimize] [--tail LINES] [--reference]',
        '       main.js --mutants [PART OF A NAME]\n',
      ].join('\n'),
    )
    return 2
  }
  if (given.topologies) return runTopologies(given)
  if (given.cluster) return runClusters(given)
  if (given.meta) return runMetaClusters(given)
  if (given.engine) return runEngines(given)
  const exitCode = await runSingle(given)
  if (exitCode !== 0 || given.single) return exitCode
  return (
    (await runEngines({ ...given, count: Math.ceil(given.count / ENGINE_SHARE) })) ||
    (await runTopologies({ ...given, count: 1 })) ||
    (await runClusters(given)) ||
    runMetaClusters({ ...given, count: Math.ceil(given.count / META_SHARE) })
  )
}

/** One node and its MQTT clients, with every seed. */
async function runSingle(given: Arguments): Promise<number> {
  const compose = given.reference ? composeReference() : composeProduction
  const totals: Totals = { events: 0, virtualMs: 0, deliveries: 0, probes: new Map() }
  const startedMs = Date.now()
  let reportedMs = startedMs
  for (let seed = given.from; seed < given.from + given.count; seed++) {
    const result = await runSeed(seed, compose, given)
    if (result === undefined) return 1
    add(totals, result)
    if (given.hash) process.stdout.write(`seed ${seed} hash ${result.hash}\n`)
    if (Date.now() - reportedMs < PROGRESS_MS) continue
    reportedMs = Date.now()
    report(`${seed - given.from + 1} of ${given.count} seeds passed`, totals, startedMs)
  }
  if (!given.hash) report(`all ${given.count} seeds passed`, totals, startedMs)
  return 0
}

/** Undefined after a failure, which has been told. */
async function runSeed(seed: number, compose: ComposeConfigured, given: Arguments): Promise<SimulationResult | undefined> {
  const simulation = new Simulation({ seed, compose, shares: !given.reference })
  try {
    return await simulation.run()
  } catch (error) {
    if (given.brief) process.stdout.write(`found ${seed} ${kindOf(error)}\n`)
    else if (given.hash) process.stdout.write(`seed ${seed} hash ${simulation.hash()} failed: ${messageOf(error)}\n`)
    else
      await explain(error, {
        again: new Simulation({ seed, compose, recording: true, shares: !given.reference }),
        name: `seed ${seed}`,
        repeat: `--seed ${seed}${given.reference ? ' --reference' : ''}`,
        tailLines: given.tailLines,
        sameBy: messageOf,
      })
    return undefined
  }
}

function add(totals: Totals, { events, virtualMs, deliveries, probes }: SimulationResult): void {
  totals.events += events
  totals.virtualMs += virtualMs
  totals.deliveries += deliveries
  addReached(totals.probes, probes)
}

function report(what: string, totals: Totals, startedMs: number): void {
  const seconds = (Date.now() - startedMs) / 1000
  const speed = `${Math.round(totals.events / seconds)} events/s, ${Math.round(totals.virtualMs / 1000 / seconds)} x real time`
  process.stdout.write(`${what}: ${totals.events} events, ${totals.deliveries} deliveries in ${seconds.toFixed(1)} s (${speed})\n`)
  process.stdout.write(reachedLine(totals.probes))
}

function readArguments(given: readonly string[]): Arguments | undefined {
  const numbers = new Map<string, number>()
  const flags = new Set<string>()
  for (let at = 0; at < given.length; at++) {
    const name = given[at] as string
    if (FLAGS.includes(name)) flags.add(name)
    else {
      const value = Number(given[++at])
      if (!['--seed', '--seeds', '--from', '--tail'].includes(name) || !Number.isSafeInteger(value)) return undefined
      numbers.set(name, value)
    }
  }
  const seed = numbers.get('--seed')
  const count = seed === undefined ? numbers.get('--seeds') : 1
  if (count === undefined) return undefined
  return {
    from: seed ?? numbers.get('--from') ?? 1,
    count,
    hash: flags.has('--hash'),
    reference: flags.has('--reference'),
    cluster: flags.has('--cluster'),
    minimize: flags.has('--minimize'),
    topologies: flags.has('--topologies'),
    meta: flags.has('--meta'),
    engine: flags.has('--engine'),
    single: flags.has('--single') || flags.has('--reference') || seed !== undefined,
    brief: flags.has('--brief'),
    tailLines: numbers.get('--tail') ?? TAIL_LINES_DEFAULT,
  }
}

process.exitCode = await main()
