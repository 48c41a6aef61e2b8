// SPDX-License-Identifier: Apache-2.0
// Who belongs to the group, now and as of every applied index since the start of the log. A change takes effect when it is applied (R32).
import { assert, must } from '#base/assert'
import { changedConf, decodeConfChange, isJoint } from './conf-change.ts'
import type { ConfState, Entry, LogIndex, LogStart, NodeId } from './message.ts'
import { isOnlyVoter, isVoter, type VoterSets, voterSetsOf } from './quorum.ts'

interface ConfSince {
  readonly index: LogIndex
  readonly conf: ConfState
}

export class Membership {
  readonly #node: NodeId
  /** Ascending; the first one is of the start of the log or older. */
  #history: ConfSince[]
  #voters: VoterSets
  /** Changes in the log that are not applied, ascending. */
  #unapplied: LogIndex[]

  /** `confEntries` are the changes in the log, those that are not applied included. */
  constructor(node: NodeId, start: LogStart, applied: LogIndex, confEntries: readonly Entry[]) {
    this.#node = node
    this.#history = [start]
    for (const entry of confEntries) if (entry.index > start.index && entry.index <= applied) this.#extend(entry)
    this.#unapplied = confEntries.filter(({ index }) => index > applied).map(({ index }) => index)
    this.#voters = voterSetsOf(this.conf)
  }

  get conf(): ConfState {
    return this.#last.conf
  }

  get voters(): VoterSets {
    return this.#voters
  }

  /** Whether this replica may lead. */
  get isVoter(): boolean {
    return isVoter(this.#voters, this.#node)
  }

  /** Whether this replica needs to ask nobody. */
  get isOnlyVoter(): boolean {
    return isOnlyVoter(this.#voters, this.#node)
  }

  /** Whether there is nobody else at all, now. */
  get isAlone(): boolean {
    return this.isOnlyVoter && this.conf.learners.length === 0
  }

  get isJoint(): boolean {
    return isJoint(this.conf)
  }

  /** Whether the log has a change, up to `index`, that is not in effect. */
  hasUnapplied(index: LogIndex): boolean {
    const first = this.#unapplied[0]
    return first !== undefined && first <= index
  }

  /** A change was appended to the log. */
  appended(index: LogIndex): void {
    this.#unapplied.push(index)
  }

  /** The log from `index` on was replaced. */
  truncatedFrom(index: LogIndex): void {
    while ((this.#unapplied.at(-1) ?? 0) >= index) this.#unapplied.pop()
  }

  /** Puts a committed change into effect. One that a snapshot has overtaken already is. */
  apply(entry: Entry): void {
    if (entry.index <= this.#last.index) return
    assert(this.#unapplied.shift() === entry.index, 'changes of the membership are applied in order, none twice and none left out')
    this.#extend(entry)
    this.#voters = voterSetsOf(this.conf)
  }

  /** The log was replaced by a snapshot. */
  restore(start: LogStart): void {
    this.#history = [start]
    this.#unapplied = []
    this.#voters = voterSetsOf(start.conf)
  }

  /** As of an applied index, not before the start of the log. */
  confAt(index: LogIndex): ConfState {
    return must(
      this.#history.findLast((since) => since.index <= index),
      'the configuration is known from the start of the log on',
    ).conf
  }

  /** The log begins after `index`. */
  compact(index: LogIndex): void {
    const first = this.#history.findLastIndex((since) => since.index <= index)
    if (first > 0) this.#history = this.#history.slice(first)
  }

  get #last(): ConfSince {
    return must(this.#history.at(-1), 'there is always a configuration')
  }

  #extend({ index, data }: Entry): void {
    const conf = must(changedConf(this.conf, decodeConfChange(data)), 'a change that was committed can be made')
    this.#history.push({ index, conf })
  }
}
