// SPDX-License-Identifier: Apache-2.0
// The leader's work: knows what each replica has made durable, from that what is committed, and sends everyone what they lack (R20-R24).
import { assert, must } from '#base/assert'
import { membersOf } from './conf-change.ts'
import { entryCostBytes, type RaftLog } from './log.ts'
import { AcknowledgedMarks } from './log-lost.ts'
import type { Membership } from './membership.ts'
import { type AppendResponse, type Entry, type LogIndex, type NodeId, TERM_NONE, type Term } from './message.ts'
import type { Outbox } from './outbox.ts'
import { type InflightLimits, Progress } from './progress.ts'
import { committedIndex, voteResult } from './quorum.ts'

export interface ReplicationLimits extends InflightLimits {
  /** Of the entries of one message; one entry is always sent. */
  readonly messageBytesMax: number
}

export interface ReplicationOptions {
  readonly node: NodeId
  readonly log: RaftLog
  readonly membership: Membership
  readonly outbox: Outbox
  readonly limits: ReplicationLimits
}

const NO_ENTRIES: readonly Entry[] = Object.freeze([])

export class Replication {
  readonly #options: ReplicationOptions
  readonly #progress = new Map<NodeId, Progress>()
  readonly #marks = new AcknowledgedMarks()
  #term: Term = 0
  /** Requests sent in this term. */
  #sequence = 0
  /** Something has changed since `flush`. */
  #isDirty = false
  #forgetful: NodeId[] = []

  constructor(options: ReplicationOptions) {
    this.#options = options
  }

  get isDirty(): boolean {
    return this.#isDirty
  }

  progress(node: NodeId): Progress | undefined {
    return this.#progress.get(node)
  }

  /** A new term of leadership: nothing is known about anybody's log, not even that ours is durable. */
  begin(term: Term): void {
    this.#term = term
    this.#sequence = 0
    this.#progress.clear()
    this.membersChanged()
  }

  end(): void {
    const { node, log } = this.#options
    for (const [other, { match }] of this.#progress)
      if (other !== node) this.#marks.remember(other, Math.min(match, log.commit), this.#term)
    this.#progress.clear()
    this.#isDirty = false
  }

  /** Takes up new members and forgets those who left. */
  membersChanged(): void {
    const members = membersOf(this.#options.membership.conf)
    const next = this.#options.log.lastIndex + 1
    this.#marks.keepOnly(members)
    for (const node of this.#progress.keys()) if (!members.includes(node)) this.#progress.delete(node)
    for (const node of members) if (!this.#progress.has(node)) this.#progress.set(node, new Progress(next, this.#marks.indexOf(node)))
    this.#isDirty = true
  }

  /** There is something new to send: entries, or a commit index. */
  touch(): void {
    this.#isDirty = true
  }

  /** `from` has the log durably up to `index`. Whether the commit index moved. */
  acknowledge(from: NodeId, index: LogIndex): boolean {
    assert(index <= this.#options.log.lastIndex, 'nobody acknowledges entries that the leader does not have')
    const progress = this.#progress.get(from)
    if (progress === undefined || progress.isForgetful) return false
    progress.heard = true
    const isNews = progress.acknowledge(index, this.#sequence)
    if (from !== this.#options.node) this.#followUp(progress)
    return isNews && index > this.#options.log.commit && this.commit()
  }

  /** `from` does not have the entry that a request was to follow. */
  reject(from: NodeId, { index, hintIndex, hintTerm, sequence }: AppendResponse): void {
    const progress = this.#progress.get(from)
    if (progress === undefined || progress.isForgetful) return
    progress.heard = true
    if (progress.isAmnesia(hintIndex, sequence)) {
      progress.forget()
      this.#forgetful.push(from)
      this.#tellLogLost(from, progress.acknowledged)
      return
    }
    // Of the entries there that are of a later term than ours at that place, none can be equal; nor of ours that are later than theirs.
    if (progress.reject(index, this.#options.log.lastOfTerm(hintIndex, hintTerm))) this.#isDirty = true
  }

  /** Commits what a majority has. Whether the commit index moved. */
  commit(): boolean {
    const { log, membership } = this.#options
    const committed = committedIndex(membership.voters, (voter) => this.#progress.get(voter)?.counted)
    // Entries of older terms are never committed by counting, only by an entry of this term above them (R20, Raft paper figure 8).
    if (log.term(committed) !== this.#term || !log.commitTo(committed)) return false
    this.#isDirty = true
    return true
  }

  /** `from` has answered a heartbeat of that round. */
  resume(from: NodeId, round: number): void {
    const progress = this.#progress.get(from)
    if (progress === undefined) return
    progress.heard = true
    progress.resume(this.#options.log.lastIndex)
    if (!progress.isForgetful) progress.readRound = Math.max(progress.readRound, round)
    if (progress.match < this.#options.log.lastIndex || progress.state === 'probe') this.#isDirty = true
  }

  /** The last round of heartbeats that a majority has answered; this replica has answered `own`. */
  confirmedRound(own: number): number {
    const { membership, node } = this.#options
    return committedIndex(membership.voters, (voter) => (voter === node ? own : this.#progress.get(voter)?.readRound))
  }

  /** Whether a majority was heard since the last call (R14). */
  checkQuorum(): boolean {
    const { membership, node } = this.#options
    const isHeard = (voter: NodeId): boolean => {
      const progress = this.#progress.get(voter)
      return voter === node || (progress?.heard === true && !progress.isForgetful)
    }
    const result = voteResult(membership.voters, isHeard)
    for (const progress of this.#progress.values()) progress.heard = false
    return result === 'won'
  }

  unreachable(node: NodeId): void {
    const progress = this.#progress.get(node)
    if (progress?.state !== 'replicate') return
    progress.probe()
    this.#isDirty = true
  }

  snapshotDone(node: NodeId, index: LogIndex | undefined): void {
    const progress = this.#progress.get(node)
    if (progress?.state === 'snapshot') progress.snapshotDone(index)
  }

  /** The entries that were asked for by a load. */
  loaded(to: NodeId, entries: readonly Entry[]): void {
    const progress = this.#progress.get(to)
    const { log, limits } = this.#options
    const first = entries[0]
    const last = entries.at(-1)
    if (progress === undefined || first === undefined || last === undefined || progress.loadingFrom !== first.index) return
    progress.endLoad()
    this.#isDirty = true
    // An acknowledgement may have come meanwhile that says it has them already, or the log may have been compacted or replaced.
    const isWanted = progress.next === first.index && !progress.isPaused && !progress.isFull(limits)
    if (isWanted && log.term(first.index - 1) !== undefined && log.term(last.index) === last.term) this.#send(to, progress, entries)
  }

  /** It is tried again when the replica is heard. */
  loadFailed(to: NodeId): void {
    this.#progress.get(to)?.endLoad()
  }

  /** Replicas that have lost what they had acknowledged. Each is named once. */
  takeForgetful(): readonly NodeId[] {
    const forgetful = this.#forgetful
    this.#forgetful = []
    return forgetful
  }

  /** Whether a candidate has less than it had acknowledged to this replica when that led; it is told. `term` is that of the candidate when it asked. */
  accuses(from: NodeId, lastIndex: LogIndex, term: Term): boolean {
    if (!this.#marks.isLost(from, lastIndex, term)) return false
    this.#tellLogLost(from, this.#marks.indexOf(from))
    return true
  }

  /** A replica that has lost log hears of nothing else, as often as it would hear of its leader: it may have started anew. */
  heartbeat(round: number): void {
    const { node, log, outbox } = this.#options
    for (const [to, progress] of this.#progress) {
      if (to === node) continue
      if (progress.isForgetful) {
        this.#tellLogLost(to, progress.acknowledged)
        continue
      }
      const commit = Math.min(progress.counted, log.commit)
      const commitTerm = log.term(commit) ?? TERM_NONE
      outbox.send({ kind: 'heartbeatRequest', from: node, to, term: this.#term, commit, commitTerm, readRound: round })
    }
  }

  /** Sends everyone what they lack, as far as their windows allow. */
  flush(): void {
    this.#isDirty = false
    for (const [to, progress] of this.#progress) if (to !== this.#options.node) this.#sendWhatIsDue(to, progress)
  }

  #sendWhatIsDue(to: NodeId, progress: Progress): void {
    const { log, limits, outbox } = this.#options
    while (!progress.isPaused) {
      const { next } = progress
      if (next <= log.start.index) {
        this.#startSnapshot(to, progress)
        return
      }
      const hasNews = next <= log.lastIndex && !progress.isFull(limits)
      // A probe asks first and reads later: what it asks for may turn out not to be needed.
      if (hasNews && next < log.heldFrom && progress.state === 'replicate') {
        progress.startLoad()
        outbox.load({ to, from: next, end: Math.min(log.heldFrom, log.lastIndex + 1) })
        return
      }
      const entries = hasNews && next >= log.heldFrom ? log.heldEntries(next, limits.messageBytesMax) : NO_ENTRIES
      if (entries.length === 0 && !progress.owesNews(log.commit)) return
      this.#send(to, progress, entries)
      if (entries.length === 0) return
    }
  }

  #send(to: NodeId, progress: Progress, entries: readonly Entry[]): void {
    const { node, log, outbox } = this.#options
    const previousIndex = progress.next - 1
    const previousTerm = must(log.term(previousIndex), 'entries are sent while the log reaches back to the one before')
    assert(entries.length === 0 || entries[0]?.index === progress.next, 'what is sent follows on what was sent before')
    const { commit } = log
    outbox.send({
      kind: 'appendRequest',
      from: node,
      to,
      term: this.#term,
      previousIndex,
      previousTerm,
      entries,
      commit,
      sequence: ++this.#sequence,
    })
    let bytes = 0
    for (const entry of entries) bytes += entryCostBytes(entry.data)
    progress.sent(entries.length, bytes, commit)
  }

  #tellLogLost(to: NodeId, index: LogIndex): void {
    this.#options.outbox.send({ kind: 'logLost', from: this.#options.node, to, term: this.#term, index })
  }

  /** Only for those who are there: a snapshot is too much work to be sent to nobody. */
  #startSnapshot(to: NodeId, progress: Progress): void {
    if (!progress.heard) return
    progress.awaitSnapshot()
    this.#options.outbox.snapshot(to)
  }

  /** After an acknowledgement: what waited for it can go. */
  #followUp(progress: Progress): void {
    const { log } = this.#options
    const isReached = progress.match >= log.start.index
    if (progress.state === 'probe' || (progress.state === 'snapshot' && isReached)) progress.replicate()
    if (progress.next <= log.lastIndex || progress.owesNews(log.commit)) this.#isDirty = true
  }
}
