// SPDX-License-Identifier: Apache-2.0
// One replica of one group: takes messages, ticks and proposals, and says through `ready` what must become durable and be sent
// (R1). No clock, no promise, no I/O: the same inputs always give the same outputs.
import { assert, assertNever } from '#base/assert'
import { Election, type Role } from './election.ts'
import { type CommittedPage, entryCostBytes, RaftLog, type StableTerms } from './log.ts'
import type { HardState, LogIndex, LogStart, Message, NodeId, Term } from './message.ts'
import { isOnlyVoter, isVoter, type VoterSets, voterSetsOf } from './quorum.ts'
import { type ReadNumber, ReadQueue, type ReadResult } from './read-index.ts'
import { Persisted, type Ready } from './ready.ts'
import { Replication } from './replication.ts'

/** Bounds on what a group may hold (R9). Bytes count data and a fixed cost for each entry. */
export interface RaftLimits {
  /** Proposed and not yet committed. One proposal is always let in, whatever its size. */
  readonly uncommittedBytesMax: number
  /** In memory because not yet durable or not yet applied: a state machine that is slow holds back its proposers (M8). */
  readonly windowBytesMax: number
  /** Reads waiting for their index. */
  readonly readsMax: number
}

export interface RaftCoreOptions {
  readonly node: NodeId
  readonly hardState: HardState
  readonly start: LogStart
  readonly lastIndex: LogIndex
  /** What the state machine covers. */
  readonly applied: LogIndex
  readonly stable: StableTerms
  readonly limits: RaftLimits
}

export type RefusedReason = 'notLeader' | 'overLimit'

/** 'appended' promises nothing: the proposal counts when an entry of this index and term is applied. */
export type ProposeOutcome =
  | { readonly kind: 'appended'; readonly index: LogIndex; readonly term: Term }
  | { readonly kind: 'refused'; readonly reason: RefusedReason }

export type ReadOutcome =
  | { readonly kind: 'accepted'; readonly read: ReadNumber }
  | { readonly kind: 'refused'; readonly reason: RefusedReason }

const NOT_LEADER = Object.freeze({ kind: 'refused', reason: 'notLeader' } as const)
const OVER_LIMIT = Object.freeze({ kind: 'refused', reason: 'overLimit' } as const)
const EMPTY = Buffer.alloc(0)

export class RaftCore {
  readonly #node: NodeId
  readonly #limits: RaftLimits
  readonly #voters: VoterSets
  readonly #log: RaftLog
  readonly #election: Election
  readonly #replication: Replication
  readonly #reads = new ReadQueue()
  readonly #persisted: Persisted
  #messagesAfterPersist: Message[] = []
  /** Given out and not yet durable. One at a time, so that writes become durable in the order of the log. */
  #inFlight: Ready | undefined

  constructor(options: RaftCoreOptions) {
    const { node, hardState, start, lastIndex, applied, stable } = options
    this.#node = node
    this.#limits = options.limits
    this.#voters = voterSetsOf(start.conf)
    assert(
      isOnlyVoter(this.#voters, node) && start.conf.learners.length === 0,
      'multi-voter groups have a transport, which this node lacks',
    )
    // What was applied or dropped from the log had been committed, though the commit index on disk may be older.
    const commit = Math.max(hardState.commit, start.index, applied)
    this.#log = new RaftLog({ stable, start, lastIndex, commit, applied })
    assert(this.#log.lastTerm <= hardState.term, 'no entry is of a later term than the replica')
    this.#election = new Election(node, hardState.term, hardState.vote)
    this.#replication = new Replication(this.#log)
    this.#persisted = new Persisted(hardState, start)
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

  get commit(): LogIndex {
    return this.#log.commit
  }

  get applied(): LogIndex {
    return this.#log.applied
  }

  get lastIndex(): LogIndex {
    return this.#log.lastIndex
  }

  /** Known to be durable here up to this entry. */
  get stableIndex(): LogIndex {
    return this.#log.stableIndex
  }

  /** Leads, and the first entry of its term is applied: so are all entries of earlier terms (R20). */
  get servesTerm(): boolean {
    return this.role === 'leader' && this.#log.term(this.#log.applied) === this.term
  }

  /** Whether time matters to this replica. The one voter of a group waits for nobody, except that somebody must make it begin. */
  get needsTicks(): boolean {
    return this.role === 'follower'
  }

  /** Time has passed. The only voter does not wait for a leader to be heard: there is no other that could lead. */
  tick(): void {
    if (this.role === 'follower') this.campaign()
  }

  /** Stands for election. Without effect on a leader, and on a candidate whose own vote is not yet durable. */
  campaign(): void {
    if (this.role !== 'follower') return
    this.#election.campaign()
    this.#messagesAfterPersist.push({ kind: 'voteResponse', from: this.#node, to: this.#node, term: this.term, granted: true })
  }

  step(message: Message): void {
    if (message.kind === 'voteRequest' && this.role === 'leader') return // A leader that is alive is not disturbed (R14).
    if (message.term > this.term) this.#follow(message.term)
    // Of an older term: among others, this replica's own acknowledgements from before a change of term (R7).
    if (message.term < this.term) return
    // A replica outside of the configuration can teach a later term, and nothing else.
    if (!isVoter(this.#voters, message.from)) return
    switch (message.kind) {
      case 'voteResponse':
        this.#onVoteResponse(message.from, message.granted)
        break
      case 'appendResponse':
        this.#onAppendResponse(message.from, message.index)
        break
      case 'voteRequest':
      case 'appendRequest':
      case 'heartbeatRequest':
      case 'heartbeatResponse':
      case 'snapshotOffer':
      case 'timeoutNow':
        assert(message.from !== this.#node, 'a replica tells itself only of its vote and its log')
        break
      default:
        assertNever(message)
    }
  }

  /** Appends a command to the log of the leader. `data` must not change any more. */
  propose(data: Buffer): ProposeOutcome {
    if (this.role !== 'leader') return NOT_LEADER
    const { uncommittedBytes, windowBytes } = this.#log
    const { uncommittedBytesMax, windowBytesMax } = this.#limits
    if (uncommittedBytes > 0 && uncommittedBytes + entryCostBytes(data) > uncommittedBytesMax) return OVER_LIMIT
    if (windowBytes > windowBytesMax) return OVER_LIMIT
    const entry = this.#log.append(this.term, 'normal', data)
    return { kind: 'appended', index: entry.index, term: entry.term }
  }

  /** Asks to read the state as of now. The answer comes through `takeReads`, when everything committed by now is applied. */
  readIndex(): ReadOutcome {
    if (this.role !== 'leader') return NOT_LEADER
    if (this.#reads.count >= this.#limits.readsMax) return OVER_LIMIT
    // The only voter is the quorum that confirms its leadership.
    return { kind: 'accepted', read: this.#hasCommittedInTerm ? this.#reads.confirm(this.#log.commit) : this.#reads.hold() }
  }

  /** Reads that can be served now, or never. Each is returned once. */
  takeReads(): readonly ReadResult[] {
    return this.#reads.take(this.#log.applied)
  }

  /** Whether `ready` has something to give. */
  hasReady(): boolean {
    if (this.#inFlight !== undefined) return false
    return (
      this.#log.hasUnhanded ||
      this.#messagesAfterPersist.length > 0 ||
      this.#persisted.isBehind(this.term, this.#election.vote, this.#log.start)
    )
  }

  /** What to write and send next. The caller owes `advance` for it before it may ask again. */
  ready(): Ready {
    assert(this.#inFlight === undefined, 'a ready is advanced before the next is taken')
    const isBehind = this.#persisted.isBehind(this.term, this.#election.vote, this.#log.start)
    const entries = this.#log.handOut()
    const { lastIndex, lastTerm } = this.#log
    const messagesAfterPersist = this.#messagesAfterPersist
    this.#messagesAfterPersist = []
    if (this.role === 'leader' && entries.length > 0) {
      // The leader counts itself only once its own write is durable (R6).
      const { term } = this
      messagesAfterPersist.push({
        kind: 'appendResponse',
        from: this.#node,
        to: this.#node,
        term,
        index: lastIndex,
        rejected: false,
        hintTerm: lastTerm,
      })
    }
    this.#inFlight = {
      messages: [],
      entries,
      hardState: this.#persisted.changedHardState({ term: this.term, vote: this.#election.vote, commit: this.#log.commit }),
      start: this.#persisted.changedStart(this.#log.start),
      mustSync: isBehind || entries.length > 0,
      messagesAfterPersist,
      term: this.term,
      lastIndex,
      lastTerm,
    }
    return this.#inFlight
  }

  /** The write of the last `ready` is durable. */
  advance(): void {
    const ready = this.#inFlight
    assert(ready !== undefined, 'only a ready that was given out is advanced')
    this.#inFlight = undefined
    // In a later term the entry at that index may have been replaced and come back. Every ready tells the end of the log, so
    // that the first one of the later term makes up for what is dropped here (R7).
    if (ready.term === this.term) this.#log.stableTo(ready.lastIndex, ready.lastTerm)
    for (const message of ready.messagesAfterPersist) if (message.to === this.#node) this.step(message)
  }

  /** The entries to apply next, of about `bytesMax` at most; the same ones until `appliedTo` is told. */
  nextCommitted(bytesMax: number): CommittedPage | undefined {
    return this.#log.nextCommitted(bytesMax)
  }

  appliedTo(index: LogIndex): void {
    this.#log.appliedTo(index)
  }

  /** Drops the log up to `index`, which the state machine must hold durably. Whether there was anything to drop. */
  compact(index: LogIndex): boolean {
    return this.#log.compact(index)
  }

  get #hasCommittedInTerm(): boolean {
    return this.#log.term(this.#log.commit) === this.term
  }

  #follow(term: Term): void {
    this.#election.follow(term)
    this.#reads.lose()
  }

  #onVoteResponse(from: NodeId, granted: boolean): void {
    if (this.role !== 'candidate') return
    if (this.#election.count(from, granted, this.#voters) !== 'won') return
    this.#election.lead()
    this.#replication.begin(this.#voters)
    this.#log.append(this.term, 'empty', EMPTY)
  }

  #onAppendResponse(from: NodeId, index: LogIndex): void {
    if (this.role !== 'leader') return
    if (this.#replication.acknowledge(from, index, this.term, this.#voters)) this.#reads.confirmHeld(this.#log.commit)
  }
}
