// SPDX-License-Identifier: Apache-2.0
// What happens to a cluster: each kind of fault comes at random times from a stream of its own, so that a kind can be left out without moving the others.
import type { SimRandom } from '../random.ts'
import type { World } from '../world.ts'
import type { FaultKind, FaultPeriods, HostSettings } from './cluster-configuration.ts'
import type { ClusterNode, Program } from './cluster-node.ts'
import type { PeerNetwork } from './peer-network.ts'

/** The least time between the last fault and the end of the phase in which there are any. */
const CUT_MS_MEAN = 2_500
const PAUSE_MS_MAX = 8_000
const CLOCK_STEP_MS_MAX = 3_600_000

type FaultyNode = ClusterNode<Program>

/** What faults may happen to. */
export interface FaultTarget {
  readonly world: World
  readonly peers: PeerNetwork
  readonly configuration: { readonly host: HostSettings }
  nodes(): readonly FaultyNode[]
  running(): readonly FaultyNode[]
  leader(): FaultyNode | undefined
  canSpare(node: FaultyNode): boolean
  ruin(node: FaultyNode): void
}

export class ClusterFaults {
  readonly #cluster: FaultTarget
  readonly #electionMs: number
  readonly #counts = new Map<FaultKind, number>()
  #stopped = false

  constructor(cluster: FaultTarget, random: SimRandom, periods: FaultPeriods) {
    this.#cluster = cluster
    const { tickMs, timing } = cluster.configuration.host
    this.#electionMs = tickMs * timing.electionTicks
    for (const [kind, act] of this.#acts()) {
      const period = periods[kind]
      if (period !== undefined) this.#repeat(kind, act, random.stream(kind), period)
    }
  }

  counts(): ReadonlyMap<FaultKind, number> {
    return this.#counts
  }

  /** No fault begins any more. What has been done is undone by the cluster. */
  stop(): void {
    this.#stopped = true
  }

  #repeat(kind: FaultKind, act: (random: SimRandom) => void, random: SimRandom, periodMs: number): void {
    this.#cluster.world.schedule('fault', undefined, random.delayMs(periodMs), () => {
      if (this.#stopped) return
      this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1)
      act(random)
      this.#repeat(kind, act, random, periodMs)
    })
  }

  #acts(): readonly (readonly [FaultKind, (random: SimRandom) => void])[] {
    return [
      ['kill', (random) => this.#any(random)?.kill()],
      ['crash', (random) => this.#any(random)?.crash()],
      ['crashLeader', (random) => this.#crashLeader(random)],
      ['crashAll', () => this.#crashAll()],
      ['stop', (random) => this.#any(random)?.stop()],
      ['pause', (random) => this.#pause(random)],
      ['partition', (random) => this.#partition(random)],
      ['slowLink', (random) => this.#slowLink(random)],
      ['reset', (random) => this.#reset(random)],
      ['syncFailure', (random) => this.#any(random)?.failNextSync()],
      ['slowDisk', (random) => this.#slowDisk(random)],
      ['fullDisk', (random) => this.#fullDisk(random)],
      ['bitFlip', (random) => this.#bitFlip(random)],
      ['lostDisk', (random) => this.#lostDisk(random)],
      ['clockStep', (random) => this.#any(random)?.time.step(random.range(-CLOCK_STEP_MS_MAX, CLOCK_STEP_MS_MAX))],
    ]
  }

  #any(random: SimRandom): FaultyNode | undefined {
    const running = this.#cluster.running()
    return running.length === 0 ? undefined : random.pick(running)
  }

  #leaderOr(random: SimRandom): FaultyNode | undefined {
    return (random.chance(0.5) ? this.#cluster.leader() : undefined) ?? this.#any(random)
  }

  /** Now and then the next one too, as soon as there is one. */
  #crashLeader(random: SimRandom): void {
    this.#cluster.leader()?.crash()
    if (random.chance(0.5)) this.#later(random.fraction() * 3 * this.#electionMs, () => this.#cluster.leader()?.crash())
  }

  #crashAll(): void {
    for (const node of this.#cluster.running()) node.crash()
  }

  /** Shorter or longer than an election. */
  #pause(random: SimRandom): void {
    const mostMs = random.pick([0.5 * this.#electionMs, 3 * this.#electionMs, PAUSE_MS_MAX])
    this.#leaderOr(random)?.pause(random.fraction() * mostMs)
  }

  /** By halves or by one, both ways or one, for some time. */
  #partition(random: SimRandom): void {
    const ids = this.#cluster.nodes().map(({ id }) => id)
    const lonely = random.chance(0.5) ? (this.#leaderOr(random)?.id ?? ids[0]) : undefined
    const left = new Set(lonely === undefined ? ids.filter(() => random.chance(0.5)) : [lonely])
    const direction = random.pick(['both', 'both', 'in', 'out'])
    const ways: (readonly [number, number])[] = []
    for (const a of ids) {
      for (const b of ids) {
        if (!left.has(a) || left.has(b)) continue
        if (direction !== 'in') ways.push([a, b])
        if (direction !== 'out') ways.push([b, a])
      }
    }
    this.#note(`cut ${ways.map(([a, b]) => `${a}>${b}`).join(' ')}`)
    for (const [a, b] of ways) this.#cluster.peers.cut(a, b)
    this.#later(random.delayMs(random.pick([CUT_MS_MEAN, 4 * CUT_MS_MEAN])), () => {
      this.#note('restore')
      for (const [a, b] of ways) this.#cluster.peers.restore(a, b)
    })
  }

  #slowLink(random: SimRandom): void {
    const [a, b] = [this.#any(random)?.id, this.#any(random)?.id]
    if (a === undefined || b === undefined || a === b) return
    this.#cluster.peers.slow(a, b, random.fraction() * 2 * this.#electionMs)
    this.#later(random.delayMs(CUT_MS_MEAN), () => this.#cluster.peers.slow(a, b, 0))
  }

  #reset(random: SimRandom): void {
    const [a, b] = [this.#any(random)?.id, this.#any(random)?.id]
    if (a !== undefined && b !== undefined && a !== b) this.#cluster.peers.reset(a, b)
  }

  #slowDisk(random: SimRandom): void {
    const node = this.#leaderOr(random)
    node?.slowDisk(random.pick([10, 100, 1000]))
    this.#later(random.delayMs(CUT_MS_MEAN), () => node?.slowDisk(1))
  }

  #fullDisk(random: SimRandom): void {
    const node = this.#any(random)
    node?.limitDisk(node.usedBytes() + random.range(0, 8192))
    this.#later(random.delayMs(CUT_MS_MEAN), () => node?.limitDisk(undefined))
  }

  /** A node goes down, and its disk is not as it left it. */
  #bitFlip(random: SimRandom): void {
    const node = this.#any(random)
    if (node === undefined || !this.#cluster.canSpare(node)) return
    if (random.chance(0.5)) node.crash()
    else node.kill()
    node.flipBit(random)
  }

  #lostDisk(random: SimRandom): void {
    const node = this.#any(random)
    if (node !== undefined && this.#cluster.canSpare(node)) this.#cluster.ruin(node)
  }

  #later(delayMs: number, act: () => void): void {
    this.#cluster.world.schedule('fault', undefined, delayMs, () => {
      if (!this.#stopped) act()
    })
  }

  #note(text: string): void {
    const { trace, nowMs } = this.#cluster.world
    if (trace.recording) trace.line(`${nowMs.toFixed(3).padStart(12)} ${text}`)
  }
}
