// SPDX-License-Identifier: Apache-2.0
// What a replica does while it leads: heartbeats, reads, changes of the membership, handing over, and stepping down when it is cut off.

import { type ConfChange, changedConf, encodeConfChange, LEAVE_JOINT } from './conf-change.ts'
import type { Election } from './election.ts'
import type { RaftLog } from './log.ts'
import type { Membership } from './membership.ts'
import type { AppendResponse, LogIndex, NodeId } from './message.ts'
import type { RaftTiming } from './options.ts'
import type { Outbox } from './outbox.ts'
import { type ReadNumber, ReadQueue } from './read-index.ts'
import type { Replication } from './replication.ts'
import { Transfer } from './transfer.ts'

export interface LeadershipOptions {
  readonly node: NodeId
  readonly log: RaftLog
  readonly election: Election
  readonly membership: Membership
  readonly replication: Replication
  readonly outbox: Outbox
  readonly timing: RaftTiming
}

export type ConfRefusal = 'confPending' | 'termNotCommitted' | 'confInvalid'

const EMPTY = Buffer.alloc(0)

export class Leadership {
  readonly #options: LeadershipOptions
  readonly reads = new ReadQueue()
  readonly #transfer = new Transfer()
  #heartbeatElapsedTicks = 0

  constructor(options: LeadershipOptions) {
    this.#options = options
  }

  get isTransferring(): boolean {
    return this.#transfer.isUnderWay
  }

  get hasCommittedInTerm(): boolean {
    const { log, election } = this.#options
    return log.term(log.commit) === election.term
  }

  /** The replica is elected. */
  begin(): void {
    const { log, election, replication } = this.#options
    election.lead()
    replication.begin(election.term)
    this.#heartbeatElapsedTicks = 0
    log.append(election.term, 'empty', EMPTY)
  }

  /** Its leadership is over. */
  end(): void {
    this.#options.replication.end()
    this.reads.lose()
    this.#transfer.end()
  }

  /** Whether it still leads: it does not when no majority was heard for an election timeout (R14). */
  tick(): boolean {
    const { election, membership, replication, timing } = this.#options
    if (membership.isAlone) return true
    election.tick()
    this.#transfer.tick(timing.electionTicks)
    if (election.elapsedTicks >= timing.electionTicks) {
      election.resetTimer()
      if (!replication.checkQuorum()) return false
    }
    if (++this.#heartbeatElapsedTicks >= timing.heartbeatTicks) {
      this.#heartbeatElapsedTicks = 0
      replication.heartbeat(this.reads.round)
    }
    this.leaveJoint()
    return true
  }

  onAppendResponse(response: AppendResponse): void {
    const { log, replication } = this.#options
    const { from } = response
    if (response.rejected) {
      replication.reject(from, response)
      return
    }
    if (replication.acknowledge(from, response.index)) this.#committed()
    if (from === this.#transfer.to && replication.progress(from)?.match === log.lastIndex) this.#sendTimeoutNow(from)
  }

  onHeartbeatResponse(from: NodeId, round: number): void {
    const { replication } = this.#options
    // A round that was never sent is no answer to any.
    if (round > this.reads.round) return
    replication.resume(from, round)
    this.#confirmReads()
  }

  read(): ReadNumber {
    if (!this.hasCommittedInTerm) return this.reads.hold()
    const { log, membership } = this.#options
    return membership.isOnlyVoter ? this.reads.confirm(log.commit) : this.reads.ask(log.commit)
  }

  /** Why a change of the membership cannot be proposed now. */
  confRefusal(change: ConfChange): ConfRefusal | undefined {
    const { log, membership } = this.#options
    if (!this.hasCommittedInTerm) return 'termNotCommitted'
    if (membership.isJoint || membership.hasUnapplied(log.lastIndex)) return 'confPending'
    return change.length === 0 || changedConf(membership.conf, change) === undefined ? 'confInvalid' : undefined
  }

  appendConf(change: ConfChange): LogIndex {
    const { log, election, membership, replication } = this.#options
    const { index } = log.append(election.term, 'conf', encodeConfChange(change))
    membership.appended(index)
    replication.touch()
    return index
  }

  /** The end of a joint configuration is not waited for: whoever leads proposes it (R36). */
  leaveJoint(): void {
    const { log, membership } = this.#options
    if (membership.isJoint && !membership.hasUnapplied(log.lastIndex) && this.hasCommittedInTerm && !this.isTransferring) {
      this.appendConf(LEAVE_JOINT)
    }
  }

  /** A change of the membership has taken effect. Whether this replica may still lead. */
  membersChanged(): boolean {
    const { membership, replication } = this.#options
    if (!membership.isVoter) {
      // The others learn that the change is committed, so that none of them needs this replica to be elected.
      replication.heartbeat(this.reads.round)
      return false
    }
    if (!membership.conf.voters.includes(this.#transfer.to)) this.#transfer.end()
    replication.membersChanged()
    // Of fewer voters, a majority may already have what the majority of more had not.
    if (replication.commit()) this.#committed()
    this.#confirmReads()
    return true
  }

  transfer(to: NodeId): 'started' | 'refused' {
    const { node, log, membership, replication } = this.#options
    const progress = replication.progress(to)
    if (to === node || !membership.conf.voters.includes(to) || membership.hasUnapplied(log.lastIndex)) return 'refused'
    if (progress === undefined || progress.isForgetful || progress.state === 'snapshot') return 'refused'
    if (this.isTransferring) return this.#transfer.to === to ? 'started' : 'refused'
    this.#transfer.start(to)
    if (progress.match === log.lastIndex) this.#sendTimeoutNow(to)
    return 'started'
  }

  /** Sends what the replicas lack, and the heartbeats that reads are waiting for. */
  flush(): void {
    const { replication } = this.#options
    if (replication.isDirty) replication.flush()
    if (this.reads.needsRound) replication.heartbeat(this.reads.nextRound())
  }

  get hasOutput(): boolean {
    return this.#options.replication.isDirty || this.reads.needsRound
  }

  #committed(): void {
    if (!this.hasCommittedInTerm) return
    this.reads.askHeld(this.#options.log.commit)
    if (this.#options.membership.isOnlyVoter) this.#confirmReads()
  }

  #confirmReads(): void {
    if (!this.reads.isAsking) return
    const { membership, replication } = this.#options
    // The only voter is the quorum that confirms its leadership, and needs no round for it.
    const own = membership.isOnlyVoter ? Number.MAX_SAFE_INTEGER : this.reads.round
    this.reads.confirmTo(replication.confirmedRound(own))
  }

  #sendTimeoutNow(to: NodeId): void {
    const { node, election, outbox } = this.#options
    outbox.send({ kind: 'timeoutNow', from: node, to, term: election.term })
  }
}
