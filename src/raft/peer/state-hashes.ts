// SPDX-License-Identifier: Apache-2.0
// Whether replicas that have applied the same entries hold the same state (R51). The leader tells what its state was worth at an index at which
// everyone looks; a follower compares as soon as it has come that far.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { GroupId, LogIndex } from '../core/message.ts'
import type { StateMachine } from '../state-machine.ts'

/** State machines remember their hashes at multiples of this index. */
export const HASHED_EVERY = 64

export class StateHashes {
  readonly #group: GroupId
  readonly #machine: StateMachine
  #told: LogIndex = 0
  /** Told by the leader, of an index that is not applied here yet. The latest one is enough. */
  #awaited: { readonly index: LogIndex; readonly hash: number } | undefined

  constructor(group: GroupId, machine: StateMachine) {
    this.#group = group
    this.#machine = machine
  }

  /** What the leader tells next; undefined when there is nothing new. */
  next(applied: LogIndex): { readonly index: LogIndex; readonly hash: number } | undefined {
    const index = applied - (applied % HASHED_EVERY)
    if (index === 0 || index === this.#told) return undefined
    const hash = this.#machine.stateHash?.(index)
    if (hash === undefined) return undefined
    this.#told = index
    return { index, hash }
  }

  /** Throws dataDamaged when the states differ. */
  compare(index: LogIndex, hash: number, applied: LogIndex): void {
    if (index > applied) {
      this.#awaited = { index, hash }
      return
    }
    const own = this.#machine.stateHash?.(index)
    if (own !== undefined && own !== hash) throw this.#differs(index)
  }

  /** Throws dataDamaged when what was awaited is applied now, and differs. */
  applied(applied: LogIndex): void {
    const awaited = this.#awaited
    if (awaited === undefined || awaited.index > applied) return
    this.#awaited = undefined
    this.compare(awaited.index, awaited.hash, applied)
  }

  #differs(index: LogIndex): PlatformError {
    const text =
      `the state of raft group ${this.#group} differs from that of its leader after entry ${index}. ` +
      'Neither can be trusted before it is known which one is wrong: compare with a third replica, then replace the wrong one by a new member.'
    return new PlatformError(ERROR_CODES.dataDamaged, text, { detail: { group: this.#group, index } })
  }
}
