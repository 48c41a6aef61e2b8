// SPDX-License-Identifier: Apache-2.0
// The loss of log that was acknowledged: how a replica that has led notices it in others, and what ends the one that it has happened to (R25, R46).
import { INDEX_NONE, type LogIndex, type NodeId, type Term } from './message.ts'

/** This replica does not hold what it had acknowledged. Whoever drives it must end it: a vote or an acknowledgement of its could lose what is committed. */
export class LogLost extends Error {
  override readonly name = 'LogLost'
  /** Up to here. */
  readonly acknowledged: LogIndex
  /** Where the log ends. */
  readonly found: LogIndex

  constructor(acknowledged: LogIndex, found: LogIndex) {
    super(`this replica has lost log that it acknowledged: up to entry ${acknowledged}, and its log ends at ${found}`)
    this.acknowledged = acknowledged
    this.found = found
  }
}

interface Mark {
  readonly index: LogIndex
  /** In which it was acknowledged. */
  readonly term: Term
}

/**
 * What each of the others has acknowledged to this replica in the terms that it led, as far as it was committed: that much nobody who still has a disk
 * ever has less of. Remembered until the process ends, or the other is no member any more.
 */
export class AcknowledgedMarks {
  readonly #marks = new Map<NodeId, Mark>()

  /** A leadership has ended, in which `node` had acknowledged what was committed up to `index`. */
  remember(node: NodeId, index: LogIndex, term: Term): void {
    if (index > this.indexOf(node)) this.#marks.set(node, { index, term })
  }

  /** Members alone are remembered: a node that was removed never comes back under its id (R35). */
  keepOnly(members: readonly NodeId[]): void {
    for (const node of this.#marks.keys()) if (!members.includes(node)) this.#marks.delete(node)
  }

  indexOf(node: NodeId): LogIndex {
    return this.#marks.get(node)?.index ?? INDEX_NONE
  }

  /** Whether `node` has lost log, when it said in `term` that its log ends at `lastIndex`. What it said in an earlier term may be older than its acknowledgement. */
  isLost(node: NodeId, lastIndex: LogIndex, term: Term): boolean {
    const mark = this.#marks.get(node)
    return mark !== undefined && term > mark.term && lastIndex < mark.index
  }
}
