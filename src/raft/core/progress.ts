// SPDX-License-Identifier: Apache-2.0
// What the leader knows about the log of one replica, its own included, and what it may send to it (R23).
import { assert } from '#base/assert'
import { INDEX_NONE, type LogIndex } from './message.ts'

/**
 * 'probe': it is not known where the logs part; one request at a time asks. 'replicate': entries are sent without waiting, within a window.
 * 'snapshot': the log no longer has what it needs, and nothing is sent before it has a snapshot.
 */
export type ProgressState = 'probe' | 'replicate' | 'snapshot'

/** Bounds on what was sent to one replica and not yet acknowledged (R9). */
export interface InflightLimits {
  readonly inflightMessagesMax: number
  readonly inflightBytesMax: number
}

interface Inflight {
  readonly lastIndex: LogIndex
  readonly bytes: number
}

export class Progress {
  /** Durable there and equal to the leader's log up to here. Never regresses within a term. */
  #match: LogIndex = INDEX_NONE
  /** The first entry it has not been given. Always above `match` (R10). */
  #next: LogIndex
  #state: ProgressState = 'probe'
  /** Probing: a question is out. It is asked again when the replica is heard. */
  #paused = false
  /** Something must be sent even if there is nothing new: what was sent before may be lost. */
  #owed = true
  #inflight: Inflight[] = []
  #inflightBytes = 0
  /** The entry from which on the driver reads for it. */
  #loadingFrom: LogIndex | undefined
  /** The commit index it was told of. */
  #toldCommit: LogIndex = INDEX_NONE
  /** The leader's count of requests when `match` was last acknowledged: later ones find a log that reaches it (R46). */
  #matchedAt = 0
  /** It has acknowledged so much in an earlier term, and that was committed: it holds it for ever (R46). */
  readonly #floor: LogIndex
  #forgetful = false
  /** Has answered since the last look (R14). */
  heard = true
  /** The last round of heartbeats that it has answered (R28). */
  readRound = 0

  constructor(next: LogIndex, floor: LogIndex = INDEX_NONE) {
    assert(next > INDEX_NONE, 'the next index of a replica is above the first')
    this.#next = next
    this.#floor = floor
  }

  get match(): LogIndex {
    return this.#match
  }

  /** `match`, of a replica whose word can be counted on. */
  get counted(): LogIndex {
    return this.#forgetful ? INDEX_NONE : this.#match
  }

  /** What it must hold, as it has acknowledged it in this term or in an earlier one. */
  get acknowledged(): LogIndex {
    return Math.max(this.#match, this.#floor)
  }

  get next(): LogIndex {
    return this.#next
  }

  get state(): ProgressState {
    return this.#state
  }

  /** Has lost log that it had acknowledged. It is counted for nothing, and told only that (R46). */
  get isForgetful(): boolean {
    return this.#forgetful
  }

  get loadingFrom(): LogIndex | undefined {
    return this.#loadingFrom
  }

  /** Whether nothing at all may be sent now. */
  get isPaused(): boolean {
    return this.#state === 'snapshot' || this.#paused || this.#forgetful || this.#loadingFrom !== undefined
  }

  isFull({ inflightMessagesMax, inflightBytesMax }: InflightLimits): boolean {
    return this.#inflight.length >= inflightMessagesMax || this.#inflightBytes >= inflightBytesMax
  }

  /** Whether a request without entries is due. */
  owesNews(commit: LogIndex): boolean {
    return this.#owed || this.#state === 'probe' || Math.min(commit, this.#next - 1) > this.#toldCommit
  }

  /** A request with `count` entries was sent, which weigh `bytes`. */
  sent(count: number, bytes: number, commit: LogIndex): void {
    this.#owed = false
    if (this.#state === 'probe') {
      this.#paused = true
      return
    }
    this.#next += count
    this.#toldCommit = Math.min(commit, this.#next - 1)
    if (count === 0) return
    this.#inflight.push({ lastIndex: this.#next - 1, bytes })
    this.#inflightBytes += bytes
  }

  /** It has answered a heartbeat: it is there, and what it was sent before may have been lost. */
  resume(lastIndex: LogIndex): void {
    this.#paused = false
    if (this.#match < lastIndex) this.#owed = true
  }

  /** Whether the acknowledgement says anything new: one that arrives late or twice does not. `sequence` is the leader's count of requests. */
  acknowledge(index: LogIndex, sequence = 0): boolean {
    const isNews = index > this.#match
    if (isNews) {
      this.#match = index
      this.#matchedAt = sequence
      this.#next = Math.max(this.#next, index + 1)
    }
    assert(this.#match < this.#next, 'match is below next')
    let freed = 0
    while (freed < this.#inflight.length && (this.#inflight[freed] as Inflight).lastIndex <= index) {
      this.#inflightBytes -= (this.#inflight[freed++] as Inflight).bytes
    }
    if (freed > 0) this.#inflight.splice(0, freed)
    return isNews
  }

  /** It has the log up to `match` for certain, and can be sent what follows. */
  replicate(): void {
    this.#become('replicate', this.#match + 1)
  }

  /** What was sent may be lost: asks where the logs part. */
  probe(): void {
    this.#become('probe', this.#match + 1)
  }

  awaitSnapshot(): void {
    this.#become('snapshot', this.#next)
  }

  /** The transfer of a snapshot has ended. What it has is said by its acknowledgement, or asked when it is heard next. */
  snapshotDone(index: LogIndex | undefined): void {
    this.#become('probe', Math.max(this.#match, index ?? INDEX_NONE) + 1)
    this.#paused = true
  }

  /** Its log has no entry `index` of the leader's, and may be equal up to `probeIndex`. Whether that is news. */
  reject(index: LogIndex, probeIndex: LogIndex): boolean {
    if (this.#state === 'snapshot' || index <= this.#match) return false
    if (this.#state === 'replicate') {
      this.probe()
      return true
    }
    // Only the question that is out; an older one was answered already.
    if (index !== this.#next - 1) return false
    this.#next = Math.max(Math.min(index, probeIndex + 1), this.#match + 1)
    this.#paused = false
    return true
  }

  /** Whether a refusal that may match up to `probeIndex`, of a request numbered `sequence`, shows that acknowledged log is lost (R46). */
  isAmnesia(probeIndex: LogIndex, sequence: number): boolean {
    return (sequence > this.#matchedAt && probeIndex < this.#match) || probeIndex < this.#floor
  }

  forget(): void {
    this.#forgetful = true
  }

  startLoad(): void {
    this.#loadingFrom = this.#next
  }

  endLoad(): void {
    this.#loadingFrom = undefined
  }

  #become(state: ProgressState, next: LogIndex): void {
    this.#state = state
    this.#next = next
    this.#paused = false
    this.#owed = state === 'probe'
    this.#inflight = []
    this.#inflightBytes = 0
    this.#loadingFrom = undefined
    this.#toldCommit = INDEX_NONE
    assert(this.#match < this.#next, 'match is below next')
  }
}
