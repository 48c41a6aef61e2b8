// SPDX-License-Identifier: Apache-2.0
// What a replica does with the entries, commit indexes and snapshots of the leader of its term (R19-R25, R41).
import { assert } from '#base/assert'
import { type Answer, acknowledgement } from './answer.ts'
import { isMember } from './conf-change.ts'
import type { RaftLog } from './log.ts'
import { LogLost } from './log-lost.ts'
import type { Membership } from './membership.ts'
import {
  type AppendRequest,
  type AppendResponse,
  type HeartbeatRequest,
  type LogIndex,
  type LogLostNotice,
  type NodeId,
  type SnapshotOffer,
  TERM_NONE,
  type Term,
} from './message.ts'
import type { Outbox } from './outbox.ts'

export interface FollowerOptions {
  readonly node: NodeId
  readonly log: RaftLog
  readonly membership: Membership
  readonly outbox: Outbox
  readonly answer: Answer
}

export class Follower {
  readonly #options: FollowerOptions

  constructor(options: FollowerOptions) {
    this.#options = options
  }

  onAppendRequest({ from, term, previousIndex, previousTerm, entries, commit, sequence }: AppendRequest): void {
    const { log, answer } = this.#options
    // Everything up to the commit index is the same in every log: no need to look, and nothing there that could be replaced.
    if (previousIndex < log.commit) {
      answer(this.#accepted(from, term, log.commit, sequence))
      return
    }
    if (log.term(previousIndex) !== previousTerm) {
      answer(this.#refused(from, term, previousIndex, previousTerm, sequence))
      return
    }
    assert(entries.length === 0 || entries[0]?.index === previousIndex + 1, 'entries follow on the one that they are said to follow')
    this.#accept(entries)
    const verified = previousIndex + entries.length
    log.commitTo(Math.min(commit, verified))
    answer(this.#accepted(from, term, verified, sequence))
  }

  /** Throws LogLost when this replica has acknowledged to the leader what it does not hold (R25). */
  onHeartbeatRequest({ from, term, commit, commitTerm, readRound }: HeartbeatRequest): void {
    const { node, log, outbox } = this.#options
    if (commit > log.commit && !this.#holds(commit, commitTerm)) throw new LogLost(commit, log.lastIndex)
    log.commitTo(commit)
    // Says only that this replica knows of no later leader, which needs nothing durable.
    outbox.send({ kind: 'heartbeatResponse', from: node, to: from, term, readRound })
  }

  onSnapshotOffer({ from, term, start }: SnapshotOffer): void {
    const { log, membership, answer } = this.#options
    if (this.wouldInstall(start.index, start.term) && isMember(start.conf, this.#options.node)) {
      log.restore(start)
      membership.restore(start)
    } else if (log.term(start.index) === start.term) log.commitTo(start.index)
    answer(this.#accepted(from, term, log.commit, 0))
  }

  /** Throws LogLost, unless it was true of an earlier time: what is committed is the same everywhere. */
  onLogLost({ index }: LogLostNotice): void {
    const { log } = this.#options
    if (log.commit < index) throw new LogLost(index, log.lastIndex)
  }

  /** Whether a snapshot has anything that this log does not have. */
  wouldInstall(index: LogIndex, term: Term): boolean {
    const { log } = this.#options
    return index > log.commit && log.term(index) !== term
  }

  /** `term` may be TERM_NONE when it is not known to who asks. */
  #holds(index: LogIndex, term: Term): boolean {
    const own = this.#options.log.term(index)
    return own !== undefined && (own === term || term === TERM_NONE)
  }

  #accept(entries: AppendRequest['entries']): void {
    const { log, membership } = this.#options
    const first = log.accept(entries)
    if (first === undefined) return
    membership.truncatedFrom(first)
    for (const entry of entries) if (entry.kind === 'conf' && entry.index >= first) membership.appended(entry.index)
  }

  #accepted(to: NodeId, term: Term, index: LogIndex, sequence: number): AppendResponse {
    return acknowledgement(this.#options.node, to, term, index, sequence)
  }

  /** Tells up to where the logs may be equal: entries here that are later than the leader's at that place cannot be (R24). */
  #refused(to: NodeId, term: Term, index: LogIndex, previousTerm: Term, sequence: number): AppendResponse {
    const { log, node } = this.#options
    const hintIndex = log.lastOfTerm(Math.min(index, log.lastIndex), previousTerm)
    const hintTerm = log.term(hintIndex) ?? 0
    return { kind: 'appendResponse', from: node, to, term, index, rejected: true, hintIndex, hintTerm, sequence }
  }
}
