// SPDX-License-Identifier: Apache-2.0
// Drives one group: hands the core's work to the write pipeline and to the peers, applies what is committed, and answers who waited for it.
import { assert, must } from '#base/assert'
import { errorOf, type PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { stepOrEnd } from './amnesia.ts'
import { Applier } from './applier.ts'
import { Conditions } from './conditions.ts'
import type { ConfChange } from './core/conf-change.ts'
import {
  type Entry,
  type GroupId,
  type LogIndex,
  NODE_NONE,
  type NodeId,
  type SnapshotOffer,
  TERM_NONE,
  type Term,
} from './core/message.ts'
import { type EntryLoad, RaftCore, type RaftLimits, type RaftTiming } from './core/raft-core.ts'
import type { Ready } from './core/ready.ts'
import type { LogStore, RecoveredGroup } from './log-store.ts'
import { GroupPeers, type Leading, type PeerLink } from './peer/group-peers.ts'
import { Installation } from './peer/installation.ts'
import type { SnapshotGroup } from './peer/snapshot-exchange.ts'
import { PendingProposals, type ProposalWaiter } from './pending-proposals.ts'
import { type GroupStatus, NOTHING_KNOWN, type RaftGroup } from './raft-group.ts'
import { ReadWaiters } from './read-waiters.ts'
import { type GroupRefusal, groupError, groupRefusal } from './refusal.ts'
import type { StateMachine } from './state-machine.ts'
import type { PeerMessage } from './wire/peer-message.ts'

export interface GroupOptions {
  readonly id: GroupId
  readonly node: NodeId
  readonly limits: RaftLimits
  readonly timing: RaftTiming
  /** An integer in [min, max], for the timeouts of elections. */
  readonly random: (min: number, max: number) => number
  /** Most bytes of one call of the state machine. */
  readonly applyBytesMax: number
  /** Absent on a node that has no others. */
  readonly link: PeerLink | undefined
  /** The group has something to write. */
  readonly schedule: (group: GroupDriver) => void
  readonly onRefused: () => void
  /** Another leader is known than before, or none. */
  readonly onLeader: (leader: NodeId, term: Term) => void
  /** That replica has lost what it had acknowledged: it counts for nothing while this one leads (R46). */
  readonly onForgetful: (node: NodeId) => void
  readonly crash: (reason: Error) => void
}

/** An answer of another replica is awaited for so many times the timeout of an election. */
const ANSWER_TIMEOUTS = 3

export class GroupDriver implements RaftGroup, SnapshotGroup, Leading {
  readonly #machine: StateMachine
  readonly #store: LogStore
  readonly #options: GroupOptions
  readonly #applier: Applier
  readonly #conditions = new Conditions()
  readonly #proposals = new PendingProposals()
  readonly #reads = new ReadWaiters()
  /** Undefined on a node that has no others. */
  readonly #peers: GroupPeers | undefined
  readonly #installation: Installation | undefined
  /** Undefined until the group is restored. */
  #core: RaftCore | undefined
  #inFlight: Ready | undefined
  /** Reads of the log for replicas that are behind. */
  #loads = 0
  #stopping = false
  /** As last told to `onLeader`. */
  #knownLeader: NodeId = NODE_NONE
  /** The term whose leadership the state machine was told of, or TERM_NONE. */
  #announcedTerm: Term = TERM_NONE
  /** The start of the log in the store. */
  #durableStart: LogIndex = 0

  constructor(machine: StateMachine, store: LogStore, options: GroupOptions) {
    this.#machine = machine
    this.#store = store
    this.#options = options
    const { id, link, limits, timing, crash } = options
    this.#applier = new Applier(machine, store, {
      id,
      bytesMax: options.applyBytesMax,
      next: () => this.#restored.nextCommitted(options.applyBytesMax),
      appliedIndex: () => this.applied,
      applied: (entries, replies) => this.#applied(entries, replies),
      settled: () => this.#conditions.look(),
      crash,
    })
    if (link !== undefined) {
      const onInstalled = (): void => options.schedule(this)
      this.#installation = new Installation({ applier: this.#applier, conditions: this.#conditions, link, onInstalled, crash })
      this.#peers = new GroupPeers({
        group: id,
        machine,
        link,
        proposals: this.#proposals,
        reads: this.#reads,
        answerTicks: ANSWER_TIMEOUTS * timing.electionTicks,
        requestsMax: limits.readsMax,
        random: options.random,
      })
    }
  }

  get id(): GroupId {
    return this.#options.id
  }

  get machine(): StateMachine {
    return this.#machine
  }

  get leads(): boolean {
    return this.#announcedTerm !== TERM_NONE
  }

  get term(): Term {
    return this.#core?.term ?? TERM_NONE
  }

  get applied(): LogIndex {
    return this.#core?.applied ?? 0
  }

  /** A voter that is alone needs none, but it may be given company at any time. */
  get isRestored(): boolean {
    return this.#core !== undefined
  }

  get needsTicks(): boolean {
    return this.#peers !== undefined || (this.#core?.needsTicks ?? false)
  }

  status(): GroupStatus {
    const { role, term, leader, commit, applied, lastIndex, conf } = this.#core ?? NOTHING_KNOWN
    return { id: this.id, role, term, leader, commit, applied, lastIndex, conf }
  }

  propose(data: Buffer, waiter: ProposalWaiter): void {
    const core = this.#core
    if (core === undefined || this.#stopping) {
      this.#refuse(waiter, this.#unavailable())
      return
    }
    const outcome = core.propose(data)
    if (outcome.kind === 'appended') {
      this.#proposals.add(outcome.index, outcome.term, waiter, this.#peers?.now)
      this.#touch(core)
    } else if (outcome.reason === 'notLeader' && this.#peers !== undefined && this.#knowsOtherLeader(core)) {
      this.#peers.propose(core.leader, data, waiter)
    } else {
      this.#refuse(waiter, this.#refusal(outcome.reason))
    }
  }

  async readIndex(): Promise<void> {
    const core = this.#core
    if (core === undefined || this.#stopping) throw this.#unavailable()
    const outcome = core.readIndex()
    if (outcome.kind === 'accepted') {
      const decided = this.#reads.decided(outcome.read)
      this.#touch(core)
      return decided
    }
    if (outcome.reason !== 'notLeader' || this.#peers === undefined || !this.#knowsOtherLeader(core)) throw this.#refusal(outcome.reason)
    return this.#peers.read(core.leader, () => core.applied)
  }

  changeMembers(change: ConfChange): Promise<void> {
    const core = this.#core
    if (core === undefined || this.#stopping) return Promise.reject(this.#unavailable())
    const outcome = core.proposeConf(change)
    if (outcome.kind === 'refused') return Promise.reject(this.#refusal(outcome.reason))
    return new Promise((resolve, reject) => {
      this.#proposals.add(outcome.index, outcome.term, { committed: () => resolve(), failed: reject }, this.#peers?.now)
      this.#touch(core)
    })
  }

  async transferLeadership(to: NodeId): Promise<void> {
    const core = this.#core
    if (core === undefined) throw this.#unavailable()
    if (core.role !== 'leader') throw this.#refusal('notLeader')
    if (core.transfer(to) === 'refused')
      throw groupError(this.id, ERROR_CODES.invalid, `cannot be led by node ${to}: it is no other voter of the group`)
    this.#touch(core)
    await this.#conditions.until(() => core.role !== 'leader' || !core.isTransferring)
    if (core.role === 'leader')
      throw groupError(this.id, ERROR_CODES.outcomeUnknown, `is still led by this node: node ${to} did not take over in time`)
  }

  /** Takes up where the log store and the state machine stand. What is committed above the state machine is applied from the log. */
  restore(recovered: RecoveredGroup, applied: LogIndex): void {
    assert(this.#core === undefined, 'a group is restored once')
    const { hardState, start, lastIndex, confEntries } = recovered
    const { id, node, limits, timing, random } = this.#options
    const stable = { term: (index: LogIndex): Term | undefined => this.#store.term(id, index) }
    this.#core = new RaftCore({ node, hardState, start, lastIndex, applied, confEntries, stable, limits, timing, random })
    this.#durableStart = start.index
    this.applyCommitted()
  }

  tick(): void {
    const core = this.#restored
    core.tick()
    this.#peers?.tick()
    if (core.role === 'leader') {
      this.#peers?.tellHash(core.applied, this.#others(core))
      for (const node of core.takeForgetful()) this.#options.onForgetful(node)
    }
    this.#touch(core)
    this.#conditions.look()
  }

  /** A message of another node's driver of this group. */
  onMessage(from: NodeId, message: PeerMessage): void {
    const core = this.#core
    const peers = this.#peers
    if (core === undefined || peers === undefined || this.#applier.isHalted) return
    if (message.kind === 'consensus') {
      if (!stepOrEnd(core, message.message, this.#options)) return
      this.#touch(core)
      this.applyCommitted()
      return
    }
    this.#orCrash(() => peers.onMessage(from, message, core.applied, this))
  }

  unreachable(node: NodeId): void {
    this.#core?.unreachable(node)
    this.#peers?.unreachable(node)
  }

  /** Gives everything that may leave now to the link. */
  emit(): void {
    const core = this.#restored
    const link = must(this.#peers, 'only a group with peers has output').link
    if (!core.hasOutput()) return
    const { messages, loads, snapshotsTo } = core.takeOutput()
    for (const message of messages) link.send(message.to, { kind: 'consensus', group: this.id, message })
    for (const load of loads) this.#load(core, load)
    for (const to of snapshotsTo) link.sendSnapshot(to)
  }

  collect(): Ready | undefined {
    const core = this.#restored
    if (this.#installation?.isUnderWay === true) {
      this.#inFlight = this.#installation.take()
      return this.#inFlight
    }
    if (!core.hasReady()) return undefined
    const ready = core.ready()
    if (ready.snapshot === undefined) this.#inFlight = ready
    else must(this.#installation, 'only a group with peers is sent snapshots').begin(ready)
    return this.#inFlight
  }

  written(): void {
    const core = this.#restored
    const ready = must(this.#inFlight, 'only what was collected is written')
    this.#inFlight = undefined
    if (ready.start !== undefined) this.#durableStart = ready.start.index
    core.advance()
    if (ready.snapshot !== undefined) {
      this.#proposals.abandon(0, ready.snapshot.index)
      this.#reads.applied(core.applied)
      this.#installation?.done()
    }
    for (const message of ready.messagesAfterPersist) {
      if (message.to !== this.#options.node) this.#peers?.link.send(message.to, { kind: 'consensus', group: this.id, message })
    }
    this.#touch(core)
  }

  applyCommitted(): void {
    this.#applier.run()
    this.#conditions.look()
  }

  /** Resolves when requests can be served: this replica leads, or has caught up with one that does. Rejects with stopping once it refuses. */
  async serving(): Promise<void> {
    const core = this.#restored
    const isKnown = (): boolean => this.leads || (this.#peers !== undefined && this.#knowsOtherLeader(core))
    for (;;) {
      await this.#conditions.until(() => isKnown() || this.#stopping)
      if (this.#stopping) throw this.#unavailable()
      if (this.leads || (await this.#hasCaughtUp())) return
    }
  }

  async compact(): Promise<void> {
    const core = this.#restored
    const covered = await this.#machine.persist()
    // A state machine that is applying may cover more than it has said.
    const index = Math.min(covered, core.applied, (this.#machine.neededFrom ?? Number.POSITIVE_INFINITY) - 1)
    if (!core.compact(index)) return
    this.#options.schedule(this)
    await this.#conditions.until(() => this.#durableStart >= index)
  }

  /** Takes no proposals and reads any more. */
  refuse(): void {
    this.#stopping = true
    this.#conditions.look()
  }

  /** Resolves when nothing of it is under way in the state machine or the log store. To be called when nothing new can arrive. */
  quiet(): Promise<void> {
    return this.#conditions.until(() => this.#loads === 0 && (this.#applier.isIdle || this.#applier.isHalted))
  }

  /** Lets another voter lead, if this replica does and it is done within so many ticks. */
  async handOver(ticksMax: number): Promise<void> {
    const core = this.#restored
    const peers = this.#peers
    if (peers === undefined || core.role !== 'leader') return
    const to = core.conf.voters.find((voter) => voter !== this.#options.node && core.transfer(voter) === 'started')
    if (to === undefined) return
    this.#touch(core)
    const end = peers.now + ticksMax
    await this.#conditions.until(() => core.role !== 'leader' || peers.now >= end)
  }

  /** Resolves when everything accepted is durable, applied and answered; with other replicas, also when it was not within so many ticks. */
  settled(ticksMax: number): Promise<void> {
    const core = this.#restored
    const peers = this.#peers
    const end = (peers?.now ?? 0) + ticksMax
    const isOver = (): boolean => peers !== undefined && peers.now >= end
    const owesNothing = (): boolean => this.#proposals.count === 0 && this.#reads.count === 0 && (peers?.count ?? 0) === 0
    const isWritten = (): boolean => this.#inFlight === undefined && !core.hasReady()
    return this.#conditions.until(() => this.#applier.isIdle && ((isWritten() && owesNothing()) || isOver()))
  }

  /** The process is ending: nothing is taken, applied or answered any more. */
  halt(): void {
    this.#applier.halt()
  }

  /** Whoever waits for something to become true learns why it will not. */
  fail(reason: Error): void {
    this.#conditions.fail(reason)
  }

  offer(to: NodeId, index: LogIndex): SnapshotOffer | undefined {
    const core = this.#restored
    const start = core.startAt(index)
    if (core.role !== 'leader' || start === undefined) return undefined
    return { kind: 'snapshotOffer', from: this.#options.node, to, term: core.term, start, formatVersion: 0 }
  }

  snapshotDone(to: NodeId, index: LogIndex | undefined): void {
    const core = this.#restored
    core.snapshotDone(to, index)
    this.#touch(core)
  }

  wouldInstall({ start }: SnapshotOffer): boolean {
    return this.#restored.wouldInstall(start.index, start.term)
  }

  async offered(offer: SnapshotOffer): Promise<void> {
    const core = this.#restored
    this.#orCrash(() => core.step(offer))
    this.#touch(core)
    await this.#conditions.until(() => !core.isInstalling && this.#installation?.isBusy !== true)
  }

  /** For a follower that has forwarded a command. */
  proposeFor(data: Buffer): ReturnType<Leading['proposeFor']> {
    if (this.#stopping) return { kind: 'refused', reason: 'stopping' }
    const core = this.#restored
    const outcome = core.propose(data)
    if (outcome.kind === 'refused') return { kind: 'refused', reason: outcome.reason === 'overLimit' ? 'overLimit' : 'notLeader' }
    this.#touch(core)
    return outcome
  }

  /** For a follower that wants to read. */
  async readableFor(): Promise<LogIndex> {
    const core = this.#restored
    if (core.role !== 'leader') throw this.#refusal('notLeader')
    await this.readIndex()
    return core.applied
  }

  get #restored(): RaftCore {
    return must(this.#core, 'a group is driven only after it was restored')
  }

  /** After anything that the core was told: sees to what has come of it. */
  #touch(core: RaftCore): void {
    if (core.hasReady()) this.#options.schedule(this)
    this.#settleReads(core)
    if (this.#peers === undefined) return
    if (core.hasOutput()) this.#peers.link.schedule()
    this.#announce(core)
    if (core.leader !== this.#knownLeader) {
      this.#knownLeader = core.leader
      this.#options.onLeader(core.leader, core.term)
    }
  }

  #knowsOtherLeader = ({ leader }: RaftCore): boolean => leader !== NODE_NONE && leader !== this.#options.node

  #others({ conf }: RaftCore): readonly NodeId[] {
    return [...conf.voters, ...conf.learners].filter((node) => node !== this.#options.node)
  }

  #load(core: RaftCore, { to, from, end }: EntryLoad): void {
    this.#loads++
    this.#store
      .read(this.id, from, end, this.#options.limits.messageBytesMax)
      .then(
        (entries) => {
          this.#loads--
          if (this.#applier.isHalted) return
          core.loaded(to, entries)
          this.#touch(core)
          this.#conditions.look()
        },
        (error: unknown) => this.#options.crash(errorOf(error)),
      )
      .catch((bug: Error) => this.#options.crash(bug))
  }

  /** Whether this replica has applied what its leader had committed; false a tick later when the leader could not be asked. */
  async #hasCaughtUp(): Promise<boolean> {
    try {
      await this.readIndex()
      return true
    } catch (error) {
      if (this.#applier.isHalted) throw error
      const asked = this.#peers?.now ?? 0
      await this.#conditions.until(() => this.#stopping || (this.#peers?.now ?? 0) > asked)
      return false
    }
  }

  #applied(entries: readonly Entry[], replies: readonly unknown[]): void {
    const core = this.#restored
    for (const entry of entries) if (entry.kind === 'conf') core.applyConf(entry)
    core.appliedTo(must(entries.at(-1), 'a page has at least one entry').index)
    for (let at = 0; at < entries.length; at++) {
      this.#proposals.settle(entries[at] as Entry, replies[at])
      this.#peers?.settle(entries[at] as Entry, replies[at])
    }
    this.#announce(core)
    this.#settleReads(core)
    const peers = this.#peers
    if (peers === undefined) return
    this.#orCrash(() => peers.applied(core.applied))
    this.#touch(core)
  }

  /** Tells the state machine when leadership begins, and when it has ended. */
  #announce(core: RaftCore): void {
    if (this.#announcedTerm !== TERM_NONE && (core.role !== 'leader' || core.term !== this.#announcedTerm)) {
      this.#announcedTerm = TERM_NONE
      this.#machine.onFollower?.()
    }
    if (this.#announcedTerm === TERM_NONE && core.servesTerm) {
      this.#announcedTerm = core.term
      this.#machine.onLeader?.(core.term)
    }
  }

  #settleReads(core: RaftCore): void {
    if (this.#reads.count === 0) return
    this.#reads.settle(core.takeReads(), () => this.#refusal('notLeader'))
    this.#reads.applied(core.applied)
  }

  #orCrash(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#options.crash(errorOf(error))
    }
  }

  #refuse(waiter: ProposalWaiter, error: PlatformError): void {
    this.#options.onRefused()
    waiter.failed(error)
  }

  #unavailable(): PlatformError {
    return this.#refusal(this.#stopping ? 'stopping' : 'notRestored')
  }

  #refusal(refusal: GroupRefusal): PlatformError {
    return groupRefusal(this.id, refusal)
  }
}
