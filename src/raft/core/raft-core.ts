// SPDX-License-Identifier: Apache-2.0
// One replica of one group: takes messages, ticks and proposals, and says through `ready` what must become durable, and through `takeOutput`
// what may be sent at once (R1). No clock, no promise, no I/O: the same inputs always give the same outputs.
import { assert, assertNever } from '#base/assert'
import { acknowledgement } from './answer.ts'
import { Candidacy } from './candidacy.ts'
import type { ConfChange } from './conf-change.ts'
import { Election, type Role } from './election.ts'
import { Follower } from './follower.ts'
import { Leadership } from './leadership.ts'
import { type CommittedPage, entryCostBytes, RaftLog } from './log.ts'
import { Membership } from './membership.ts'
import {
  type ConfState,
  type Entry,
  INDEX_NONE,
  type LogIndex,
  type LogStart,
  type Message,
  NODE_NONE,
  type NodeId,
  type Term,
} from './message.ts'
import { isFromLeader, raisesTerm } from './message-kind.ts'
import type { ProposeOutcome, RaftCoreOptions, RaftLimits, RaftTiming, ReadOutcome } from './options.ts'
import { Outbox, type Output } from './outbox.ts'
import type { ReadResult } from './read-index.ts'
import { Persisted, type Ready } from './ready.ts'
import { Replication } from './replication.ts'

export type { ProposeOutcome, RaftCoreOptions, RaftLimits, RaftTiming, ReadOutcome, RefusedReason } from './options.ts'
export type { EntryLoad, Output } from './outbox.ts'

const NOT_LEADER = Object.freeze({ kind: 'refused', reason: 'notLeader' } as const)
const OVER_LIMIT = Object.freeze({ kind: 'refused', reason: 'overLimit' } as const)
const TRANSFERRING = Object.freeze({ kind: 'refused', reason: 'transferring' } as const)

export class RaftCore {
  readonly #node: NodeId
  readonly #limits: RaftLimits
  readonly #timing: RaftTiming
  readonly #log: RaftLog
  readonly #membership: Membership
  readonly #election: Election
  readonly #candidacy: Candidacy
  readonly #follower: Follower
  readonly #replication: Replication
  readonly #leadership: Leadership
  readonly #outbox = new Outbox()
  readonly #persisted: Persisted
  /** Given out and not yet durable. One at a time, so that writes become durable in the order of the log. */
  #inFlight: Ready | undefined

  constructor(options: RaftCoreOptions) {
    const { node, hardState, start, lastIndex, applied, confEntries, stable, limits, timing, random } = options
    assert(
      timing.heartbeatTicks > 0 && timing.electionTicks > timing.heartbeatTicks,
      'a leader is heard several times before it is missed (R16)',
    )
    this.#node = node
    this.#limits = limits
    this.#timing = timing
    // What was applied or dropped from the log had been committed, though the commit index on disk may be older.
    const commit = Math.max(hardState.commit, start.index, applied)
    const log = new RaftLog({ stable, start, lastIndex, commit, applied })
    assert(log.lastTerm <= hardState.term, 'no entry is of a later term than the replica')
    const membership = new Membership(node, start, applied, confEntries)
    const drawTimeout = (): number => random(timing.electionTicks, 2 * timing.electionTicks - 1)
    const election = new Election(node, hardState.term, hardState.vote, drawTimeout)
    const outbox = this.#outbox
    const answer = (message: Message): void => this.#answer(message)
    const replication = new Replication({ node, log, membership, outbox, limits })
    this.#log = log
    this.#membership = membership
    this.#election = election
    this.#replication = replication
    this.#candidacy = new Candidacy({ node, log, election, membership, outbox, answer })
    this.#follower = new Follower({ node, log, membership, outbox, answer })
    this.#leadership = new Leadership({ node, log, election, membership, replication, outbox, timing })
    this.#persisted = new Persisted(hardState, start)
    this.#keepTrailing()
  }

  get role(): Role {
    return this.#election.role
  }

  get term(): Term {
    return this.#election.term
  }

  /** NODE_NONE while nobody is known to lead. */
  get leader(): NodeId {
    return this.#election.leader
  }

  /** As of the last change that was applied. */
  get conf(): ConfState {
    return this.#membership.conf
  }

  get commit(): LogIndex {
    return this.#log.commit
  }

  get applied(): LogIndex {
    return this.#log.applied
  }

  get lastIndex(): LogIndex {
    return this.#log.lastIndex
  }

  /** A snapshot has taken the place of the log, and is not yet in the state machine. */
  get isInstalling(): boolean {
    return this.#log.installing !== undefined
  }

  /** Known to be durable here up to this entry. */
  get stableIndex(): LogIndex {
    return this.#log.stableIndex
  }

  /** Of an entry from the start of the log to its end; undefined outside. */
  termAt(index: LogIndex): Term | undefined {
    return this.#log.term(index)
  }

  /** Leads, and the first entry of its term is applied: so are all entries of earlier terms (R20). */
  get servesTerm(): boolean {
    return this.role === 'leader' && this.#log.term(this.#log.applied) === this.term
  }

  /** Whether leadership is being handed over. */
  get isTransferring(): boolean {
    return this.#leadership.isTransferring
  }

  /** Whether time matters to this replica. Who is alone in its group waits for nobody, except that somebody must make it begin. */
  get needsTicks(): boolean {
    return !this.#membership.isAlone || this.role === 'follower' || this.role === 'preCandidate'
  }

  /** Time has passed. */
  tick(): void {
    if (this.role !== 'leader') this.#candidacy.tick()
    else if (!this.#leadership.tick()) this.#resign()
  }

  /** Stands for election, without asking first whether it would win. Without effect on a leader, on a candidate, and on who may not lead. */
  campaign(): void {
    this.#candidacy.campaign(false)
  }

  /** Throws LogLost when the message shows that this replica does not hold what it had acknowledged: it must be ended (R25, R46). */
  step(message: Message): void {
    if (message.kind === 'logLost') {
      this.#follower.onLogLost(message)
      return
    }
    if (this.#isForgetful(message) || this.#disturbs(message)) return
    if (message.term > this.term) {
      if (raisesTerm(message)) this.#follow(message.term)
    } else if (message.term < this.term) {
      this.#onStale(message)
      return
    }
    switch (message.kind) {
      case 'preVoteRequest':
        this.#candidacy.onPreVoteRequest(message)
        return
      case 'preVoteResponse':
        this.#candidacy.onPreVoteResponse(message)
        return
      case 'voteRequest':
        this.#candidacy.onVoteRequest(message)
        return
      case 'voteResponse':
        if (this.#candidacy.onVoteResponse(message)) this.#leadership.begin()
        return
      case 'appendRequest':
        this.#election.acceptLeader(message.from)
        this.#follower.onAppendRequest(message)
        return
      case 'heartbeatRequest':
        this.#election.acceptLeader(message.from)
        this.#follower.onHeartbeatRequest(message)
        return
      case 'snapshotOffer':
        this.#election.acceptLeader(message.from)
        this.#follower.onSnapshotOffer(message)
        this.#keepTrailing()
        return
      case 'appendResponse':
        if (this.role === 'leader') this.#leadership.onAppendResponse(message)
        return
      case 'heartbeatResponse':
        if (this.role === 'leader') this.#leadership.onHeartbeatResponse(message.from, message.readRound)
        return
      case 'timeoutNow':
        // Who stands already is not told twice (R37).
        if (this.role === 'follower') this.#candidacy.campaign(true)
        return
      default:
        assertNever(message)
    }
  }

  /** Appends a command to the log of the leader. `data` must not change any more. */
  propose(data: Buffer): ProposeOutcome {
    if (this.role !== 'leader') return NOT_LEADER
    if (this.isTransferring) return TRANSFERRING
    if (this.#isOverLimit(data)) return OVER_LIMIT
    const { index, term } = this.#log.append(this.term, 'normal', data)
    this.#replication.touch()
    return { kind: 'appended', index, term }
  }

  /** Proposes a change of the membership, which takes effect when it is applied. One at a time (R32, R33). */
  proposeConf(change: ConfChange): ProposeOutcome {
    if (this.role !== 'leader') return NOT_LEADER
    if (this.isTransferring) return TRANSFERRING
    const reason = this.#leadership.confRefusal(change)
    if (reason !== undefined) return { kind: 'refused', reason }
    return { kind: 'appended', index: this.#leadership.appendConf(change), term: this.term }
  }

  /** To be called for each committed entry of kind 'conf', in order, before `appliedTo` of it. Returns the configuration from now on. */
  applyConf(entry: Entry): ConfState {
    this.#membership.apply(entry)
    this.#persisted.changedMembership(entry.index)
    this.#keepTrailing()
    if (this.role === 'leader' && !this.#leadership.membersChanged()) this.#resign()
    return this.conf
  }

  /** Hands leadership over to another voter. It is over when this replica leads no more, or, if that fails, when `isTransferring` ends. */
  transfer(to: NodeId): 'started' | 'refused' {
    return this.role === 'leader' ? this.#leadership.transfer(to) : 'refused'
  }

  /** Asks to read the state as of now. The answer comes through `takeReads`, when everything committed by now is applied. */
  readIndex(): ReadOutcome {
    if (this.role !== 'leader') return NOT_LEADER
    if (this.#leadership.reads.count >= this.#limits.readsMax) return OVER_LIMIT
    return { kind: 'accepted', read: this.#leadership.read() }
  }

  /** Reads that can be served now, or never. Each is returned once. */
  takeReads(): readonly ReadResult[] {
    return this.#leadership.reads.take(this.#log.applied)
  }

  /** Messages to that node may have been lost. */
  unreachable(node: NodeId): void {
    this.#replication.unreachable(node)
  }

  /** The answer to a load: entries from its `from` on, at least one. */
  loaded(to: NodeId, entries: readonly Entry[]): void {
    this.#replication.loaded(to, entries)
  }

  loadFailed(to: NodeId): void {
    this.#replication.loadFailed(to)
  }

  /** The transfer of a snapshot to that node has ended: with the index that was installed there, or without success (R40). */
  snapshotDone(node: NodeId, index: LogIndex | undefined): void {
    this.#replication.snapshotDone(node, index)
  }

  /** Whether a snapshot of that end is worth receiving. */
  wouldInstall(index: LogIndex, term: Term): boolean {
    return this.#follower.wouldInstall(index, term)
  }

  /** Replicas that have lost log which they had acknowledged to this leader: they are told, and not counted any more (R46). Each is named once. */
  takeForgetful(): readonly NodeId[] {
    return this.#replication.takeForgetful()
  }

  /** Whether `takeOutput` has something to give. */
  hasOutput(): boolean {
    return !this.#outbox.isEmpty || (this.role === 'leader' && this.#leadership.hasOutput)
  }

  /** What may be sent at once, also while a write is under way: a leader's entries leave before they are durable here (R6, R17). */
  takeOutput(): Output {
    if (this.role === 'leader') this.#leadership.flush()
    return this.#outbox.take()
  }

  /** Whether `ready` has something to give. */
  hasReady(): boolean {
    return this.#inFlight === undefined && (this.#hasUnwritten || this.#outbox.hasAfterPersist)
  }

  /** What to write. The caller owes `advance` for it before it may ask again. */
  ready(): Ready {
    assert(this.#inFlight === undefined, 'a ready is advanced before the next is taken')
    const log = this.#log
    const isBehind = this.#isBehind
    const entries = log.handOut()
    const { lastIndex, lastTerm } = log
    // The leader counts itself only once its own write is durable (R6).
    if (this.role === 'leader' && entries.length > 0)
      this.#outbox.sendAfterPersist(acknowledgement(this.#node, this.#node, this.term, lastIndex, 0))
    const start = this.#persisted.changedStart(log.start)
    this.#inFlight = {
      entries,
      hardState: this.#persisted.changedHardState({ term: this.term, vote: this.#election.vote, commit: log.commit }),
      start,
      snapshot: start === log.installing ? start : undefined,
      mustSync: isBehind || entries.length > 0,
      messagesAfterPersist: this.#outbox.takeAfterPersist(),
      term: this.term,
      lastIndex,
      lastTerm,
    }
    return this.#inFlight
  }

  /** The write of the last `ready` is durable, and its snapshot, if it has one, is in the state machine. */
  advance(): void {
    const ready = this.#inFlight
    assert(ready !== undefined, 'only a ready that was given out is advanced')
    this.#inFlight = undefined
    if (ready.snapshot !== undefined) this.#log.installed(ready.snapshot)
    // In a later term the entry at that index may have been replaced and come back. Every ready tells the end of the log, so
    // that the first one of the later term makes up for what is dropped here (R7).
    if (ready.term === this.term) this.#log.stableTo(ready.lastIndex, ready.lastTerm)
    // A leader whose state machine is behind refuses proposals (M8). A follower cannot, and reads what it applies from the store instead.
    if (this.role !== 'leader') this.#log.shrink(this.#limits.windowBytesMax)
    for (const message of ready.messagesAfterPersist) if (message.to === this.#node) this.step(message)
  }

  /** The entries to apply next, of about `bytesMax` at most; the same ones until `appliedTo` is told. */
  nextCommitted(bytesMax: number): CommittedPage | undefined {
    return this.#log.nextCommitted(bytesMax)
  }

  appliedTo(index: LogIndex): void {
    assert(!this.#membership.hasUnapplied(index), 'a change of the membership takes effect before it counts as applied')
    this.#log.appliedTo(index)
    if (this.role === 'leader') this.#leadership.leaveJoint()
  }

  /** Drops the log up to `index`, which the state machine must hold durably. Whether there was anything to drop. */
  compact(index: LogIndex): boolean {
    if (index <= this.#log.start.index) return false
    if (!this.#log.compact(index, this.#membership.confAt(index))) return false
    this.#membership.compact(index)
    return true
  }

  /** What a snapshot of the state as of an applied index says of itself; undefined when the log does not go back so far. */
  startAt(index: LogIndex): LogStart | undefined {
    const term = this.#log.term(index)
    if (term === undefined || index > this.#log.applied) return undefined
    return { index, term, conf: this.#membership.confAt(index) }
  }

  get #isBehind(): boolean {
    return this.#persisted.isBehind(this.term, this.#election.vote, this.#log.start)
  }

  get #hasUnwritten(): boolean {
    return this.#log.hasUnhanded || this.#isBehind
  }

  /** A candidate that has less than it had acknowledged when this replica led: it gets no vote (R46). */
  #isForgetful(message: Message): boolean {
    if (message.kind !== 'preVoteRequest' && message.kind !== 'voteRequest') return false
    const term = message.kind === 'voteRequest' ? message.term : message.term - 1
    return this.#replication.accuses(message.from, message.lastIndex, term)
  }

  /** A candidate of a later term, while a leader is alive that did not ask for it (R14). */
  #disturbs(message: Message): boolean {
    if (message.kind !== 'preVoteRequest' && message.kind !== 'voteRequest') return false
    if (message.term <= this.term || (message.kind === 'voteRequest' && message.transfer)) return false
    return this.role === 'leader' || (this.leader !== NODE_NONE && this.#election.elapsedTicks < this.#timing.electionTicks)
  }

  /** Of an older term: among others, this replica's own acknowledgements from before a change of term (R7). */
  #onStale(message: Message): void {
    // A leader that this replica has left behind learns the later term, or it could never lead this replica again (R15).
    if (isFromLeader(message)) this.#answer(acknowledgement(this.#node, message.from, this.term, INDEX_NONE, 0))
    else if (message.kind === 'preVoteRequest') this.#candidacy.onPreVoteRequest(message)
  }

  #answer(message: Message): void {
    const isDurable = this.#inFlight === undefined && !this.#hasUnwritten && !this.#outbox.hasAfterPersist
    if (isDurable) this.#outbox.send(message)
    else this.#outbox.sendAfterPersist(message)
  }

  #isOverLimit(data: Buffer): boolean {
    const { uncommittedBytes, windowBytes } = this.#log
    const { uncommittedBytesMax, windowBytesMax } = this.#limits
    return (uncommittedBytes > 0 && uncommittedBytes + entryCostBytes(data) > uncommittedBytesMax) || windowBytes > windowBytesMax
  }

  #follow(term: Term): void {
    if (this.role === 'leader') this.#leadership.end()
    this.#election.follow(term)
  }

  /** Leads no more, in the same term. */
  #resign(): void {
    this.#leadership.end()
    this.#election.stepDown()
  }

  #keepTrailing(): void {
    this.#log.keepTrailing(this.#membership.isAlone ? 0 : this.#limits.trailingBytes)
  }
}
