// SPDX-License-Identifier: Apache-2.0
// The leader's work: knows what each voter has made durable, and from that what is committed.
import { assert, must } from '#base/assert'
import type { RaftLog } from './log.ts'
import type { LogIndex, NodeId, Term } from './message.ts'
import { Progress } from './progress.ts'
import { committedIndex, type VoterSets } from './quorum.ts'

export class Replication {
  readonly #log: RaftLog
  readonly #progress = new Map<NodeId, Progress>()

  constructor(log: RaftLog) {
    this.#log = log
  }

  /** A new term of leadership: nothing is known about anybody's log, not even that ours is durable. */
  begin(voters: VoterSets): void {
    this.#progress.clear()
    for (const voter of [...voters.incoming, ...voters.outgoing]) this.#progress.set(voter, new Progress(this.#log.lastIndex + 1))
  }

  /** `from` has the log durably up to `index`. Whether the commit index moved. */
  acknowledge(from: NodeId, index: LogIndex, term: Term, voters: VoterSets): boolean {
    assert(index <= this.#log.lastIndex, 'nobody acknowledges entries that the leader does not have')
    const progress = must(this.#progress.get(from), 'only members of the configuration acknowledge')
    if (!progress.acknowledge(index)) return false
    const committed = committedIndex(voters, (voter) => this.#progress.get(voter)?.match)
    // Entries of older terms are never committed by counting, only by an entry of this term above them (R20, Raft paper figure 8).
    return this.#log.term(committed) === term && this.#log.commitTo(committed)
  }
}
