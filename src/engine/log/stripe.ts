// SPDX-License-Identifier: Apache-2.0
// The proposing side of one log: gives records their positions, drops those it has already (D14), and answers when they are committed.
import { assert, must } from '#base/assert'
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES, type ErrorCode } from '#base/error-code'
import type { AppendOutcome, LogId, Position, StorageType } from '#contract/client/engine-client'
import { type RecordBatch, RecordBatchBuilder, RecordCursor } from '#contract/record/record-batch'
import { Append, type AppendDone, type AppendOwner, type ProposalWaiter, type Proposer } from './append.ts'
import { encodeForget, encodeRelease, type Release } from './control-record.ts'
import type { EntryReader } from './entry-batches.ts'
import { type Proposals, StripeMachine, type StripePorts, type StripeShare } from './stripe-machine.ts'
import type { StripeMetrics } from './stripe-metrics.ts'
import { WaitingAppends } from './waiting-appends.ts'

/** A batch must fit into one entry of the log. */
const BATCH_BYTES_MAX = 32 * 1024 * 1024

/** Why a log takes nothing: for good, or in the case of 'busy', for a while. */
type Closed = 'busy' | 'stopping' | 'removed'

interface WaitingRelease extends Release {
  readonly resolve: (known: boolean) => void
  readonly reject: (error: Error) => void
}

export class Stripe implements Proposals, AppendOwner {
  readonly machine: StripeMachine
  readonly #ports: StripePorts
  readonly #metrics: StripeMetrics
  /** Seldom used, and there may be thousands of logs. */
  readonly #builder = new RecordBatchBuilder(256)
  readonly #cursor = new RecordCursor()
  #proposer: Proposer | undefined
  #leading = false
  #closed: Closed | undefined
  /** Of a log that is being created: what came before it serves. */
  #waiting: WaitingAppends | undefined
  /** Told of each batch that waits. */
  #onWaiting: () => void = () => {}
  #term = 0
  /** Position of the next record to be proposed. */
  #assigned: Position = 0
  /** A failed proposal has left a hole behind it: nothing is proposed until what came after it has failed too. */
  #holed = false
  /** By the bytes proposed, in the order of their positions. */
  readonly #inFlight = new Map<Buffer, Append>()
  /** Told when none is in flight any more. */
  #onDrained: () => void = () => {}
  #lastAppendTimeMs = 0
  #releases: WaitingRelease[] = []
  #leadingWaiters: (() => void)[] = []

  constructor(log: LogId, storage: StorageType, share: StripeShare) {
    this.#ports = share.ports
    this.#metrics = share.metrics
    this.machine = new StripeMachine(log, storage, share, this)
  }

  get leading(): boolean {
    return this.#leading
  }

  /** `entries`: those of a log of type segment, which reads its records from there. */
  connect(proposer: Proposer, entries?: EntryReader): void {
    assert(!this.#leading, 'a log is connected to its group before it is led')
    this.#proposer = proposer
    if (this.machine.entries !== undefined) this.machine.entries.connect(must(entries, 'a log of type segment is given its entries'))
  }

  /** Resolves when this replica leads, and so knows the true end of the log (L12). */
  whenLeading(): Promise<void> {
    if (this.#leading) return Promise.resolve()
    return new Promise((resolve) => this.#leadingWaiters.push(resolve))
  }

  /** The log is being created, and nothing is in it: what is appended waits until `serve`. `onWaiting` is told each time, once the batch is noted. */
  hold(onWaiting: () => void): void {
    this.#waiting = new WaitingAppends()
    this.#onWaiting = onWaiting
  }

  get isHeld(): boolean {
    return this.#waiting !== undefined
  }

  /** The log is there and led: what has waited goes first. */
  serve(): void {
    const waiting = this.#waiting?.take() ?? []
    this.#waiting = undefined
    for (const { batch, done } of waiting) this.append(batch, done)
  }

  /** The log could not be created: what has waited is rejected, and what comes next waits again. */
  giveUp(reason: 'busy' | 'stopping' | 'removed'): void {
    for (const { done } of this.#waiting?.take() ?? []) later(done, { kind: 'rejected', reason })
  }

  /** Refuses what comes from now on. */
  stop(): void {
    this.close('stopping')
    this.machine.retained.stop()
  }

  /** Refuses what comes from now on; what was accepted goes its way. */
  close(reason: Closed): void {
    this.#closed = reason
    this.giveUp(reason)
  }

  /** Resolves when all that was accepted has its outcome, retained values included. For a log that is closed. */
  async drained(): Promise<void> {
    if (this.#inFlight.size > 0)
      await new Promise<void>((resolve) => {
        this.#onDrained = resolve
      })
    await new Promise<void>((resolve) => this.machine.retained.whenSettled(this.machine.end, () => resolve()))
  }

  /** The log was removed. */
  abandon(): void {
    this.close('removed')
    this.machine.abandon()
  }

  /** The group of a log that was removed has ended: resolves when the store is written to no more. */
  async ended(): Promise<void> {
    await this.machine.persist()
    this.machine.tail.abandon()
  }

  /** Takes back a `close` that was for a while. */
  reopen(): void {
    assert(this.#closed === 'busy', 'only what was closed for a while is opened again')
    this.#closed = undefined
  }

  append(batch: RecordBatch, done: AppendDone): void {
    const refusal = this.#refusal(batch)
    if (refusal !== undefined) later(done, { kind: 'rejected', reason: refusal })
    else if (this.#waiting !== undefined) this.#wait(this.#waiting, batch, done)
    else if (batch.hasSequences) this.#appendOnce(batch, done)
    else this.#propose(batch, done)
  }

  #refusal(batch: RecordBatch): Closed | 'too-large' | undefined {
    if (this.#closed !== undefined) return this.#closed
    if (batch.bytes.length > BATCH_BYTES_MAX) return 'too-large'
    return (this.#leading && !this.#holed) || this.#waiting !== undefined ? undefined : 'busy'
  }

  #wait(waiting: WaitingAppends, batch: RecordBatch, done: AppendDone): void {
    if (waiting.add(batch, done)) this.#onWaiting()
    else later(done, { kind: 'rejected', reason: 'busy' })
  }

  /** Forgets a sequence; resolves once that is committed, with false when it was not known. */
  async release(publisher: number, sequence: number): Promise<boolean> {
    if (this.isHeld) return false
    this.#requireLeading()
    if (this.machine.sequences.position(publisher, sequence) === undefined) return false
    return await new Promise((resolve, reject) => {
      this.#releases.push({ publisher, sequence, resolve, reject })
      if (this.#releases.length === 1) queueMicrotask(() => this.#proposeReleases())
    })
  }

  async forget(publishers: readonly number[]): Promise<void> {
    if (this.isHeld) return
    this.#requireLeading()
    const known = publishers.filter((publisher) => this.machine.sequences.knows(publisher))
    if (known.length === 0) return
    await new Promise<void>((resolve, reject) => this.#proposeControl(encodeForget(known), resolve, reject))
  }

  batchOf(data: Buffer): RecordBatch | undefined {
    return this.#inFlight.get(data)?.batch
  }

  onLeader(term: number): void {
    this.#leading = true
    this.#holed = false
    this.#term = term
    this.#assigned = this.machine.end
    this.machine.sequences.withdrawAll(this.#assigned)
    for (const resolve of this.#leadingWaiters.splice(0)) resolve()
  }

  onFollower(): void {
    this.#leading = false
  }

  appendCommitted(append: Append): void {
    this.#landed(append)
    this.#metrics.appendSeconds.observe((this.#ports.clock.monotonic() - append.proposedAtMs) / 1000)
    this.#metrics.batchRecords.observe(append.batch.recordCount)
    this.#metrics.batchBytes.observe(append.batch.bytes.length)
    const outcome: AppendOutcome = { kind: 'appended', basePosition: append.base }
    if (!append.batch.hasRetained) {
      append.settle(outcome)
      return
    }
    this.machine.retained.whenSettled(append.end, (retained) => append.settle(retained === 'stored' ? outcome : { kind: 'unknown' }))
  }

  appendFailed(append: Append, error: PlatformError): void {
    this.#landed(append)
    if (append.term === this.#term) this.#giveBack(append)
    const outcome = outcomeOf(error)
    queueMicrotask(() => append.settle(outcome))
  }

  #landed({ batch }: Append): void {
    this.#inFlight.delete(batch.bytes)
    if (this.#inFlight.size === 0) this.#onDrained()
  }

  /** The positions of a failed proposal are free again. */
  #giveBack(append: Append): void {
    if (append.batch.hasSequences) this.#withdraw(append.batch)
    if (append.end === this.#assigned) this.#assigned = append.base
    else this.#holed = true
    if (this.#inFlight.size > 0) return
    this.#assigned = this.machine.end
    this.#holed = false
  }

  #propose(batch: RecordBatch, done: AppendDone): void {
    const base = this.#assigned
    this.#lastAppendTimeMs = Math.max(this.#lastAppendTimeMs, this.#ports.clock.realtime())
    batch.stamp(base, this.#lastAppendTimeMs, this.#term)
    const append = new Append(this, batch, base, this.#term, this.#ports.clock.monotonic(), done)
    this.#assigned = append.end
    this.#inFlight.set(batch.bytes, append)
    this.#submit(batch.bytes, append)
  }

  #submit(data: Buffer, waiter: ProposalWaiter): void {
    const proposer = must(this.#proposer, 'a log that leads is connected to its group')
    try {
      proposer.propose(data, waiter)
    } catch (error) {
      if (!isPlatformError(error)) throw error
      waiter.failed(error)
    }
  }

  /** Appends a batch without the records whose sequence is known. */
  #appendOnce(batch: RecordBatch, done: AppendDone): void {
    const originals = this.#claim(batch)
    if (originals.length === 0) {
      this.#propose(batch, done)
      return
    }
    this.#ports.probe.reached('engine.append.duplicate')
    this.#metrics.duplicates.add(originals.length)
    const base = this.#assigned
    const rest = this.#withoutDuplicates(batch, base)
    this.#answerAll(rest, originals, base, done)
  }

  /** Notes the sequences of a batch at the positions its records will get. Returns the positions of the records that others repeat. */
  #claim(batch: RecordBatch): Position[] {
    const { sequences } = this.machine
    const cursor = this.#cursor
    const originals: Position[] = []
    let next = this.#assigned
    cursor.reset(batch)
    while (cursor.next()) {
      const known = cursor.sequence < 0 ? undefined : sequences.position(cursor.publisher, cursor.sequence)
      if (known !== undefined) originals.push(known)
      else {
        if (cursor.sequence >= 0) sequences.set(cursor.publisher, cursor.sequence, next)
        next++
      }
    }
    return originals
  }

  /** The records of a claimed batch that are not duplicates; undefined when all are. */
  #withoutDuplicates(batch: RecordBatch, base: Position): RecordBatch | undefined {
    const { sequences } = this.machine
    const cursor = this.#cursor
    const builder = this.#builder
    cursor.reset(batch)
    while (cursor.next()) {
      const index = builder.recordCount
      if (cursor.sequence >= 0 && sequences.position(cursor.publisher, cursor.sequence) !== base + index) continue
      const topic = builder.topic(must(batch.topics[cursor.topic], 'a record has a topic of its batch'))
      builder.copy(batch, cursor, topic, cursor.position - index)
    }
    return builder.recordCount === 0 ? undefined : builder.build()
  }

  /** Proposes `rest`; answers once it and the originals of all duplicates are settled. */
  #answerAll(rest: RecordBatch | undefined, originals: readonly Position[], base: Position, done: AppendDone): void {
    const basePosition = rest === undefined ? must(originals[0], 'a batch without new records has duplicates') : base
    let outcome: AppendOutcome = { kind: 'appended', basePosition }
    let left = 1
    const settle: AppendDone = (one) => {
      if (one.kind !== 'appended') outcome = { kind: 'unknown' }
      if (--left === 0) done(outcome)
    }
    for (const append of this.#inFlight.values()) {
      if (!originals.some((position) => position >= append.base && position < append.end)) continue
      left++
      append.followers ??= []
      append.followers.push(settle)
    }
    const committed = originals.filter((position) => position < this.machine.end)
    if (committed.length > 0) {
      left++
      const last = Math.max(...committed)
      this.machine.retained.whenSettled(last + 1, (retained) => settle(retained === 'stored' ? outcome : { kind: 'unknown' }))
    }
    if (rest === undefined) later(settle, outcome)
    else this.#propose(rest, settle)
  }

  #withdraw(batch: RecordBatch): void {
    const cursor = this.#cursor
    cursor.reset(batch)
    while (cursor.next()) if (cursor.sequence >= 0) this.machine.sequences.withdraw(cursor.publisher, cursor.sequence, cursor.position)
  }

  /** Releases of one turn go into one entry. */
  #proposeReleases(): void {
    const releases = this.#releases
    this.#releases = []
    this.#proposeControl(
      encodeRelease(releases),
      () => {
        for (const release of releases) release.resolve(true)
      },
      (error) => {
        for (const release of releases) release.reject(error)
      },
    )
  }

  #proposeControl(data: Buffer, committed: () => void, failed: (error: PlatformError) => void): void {
    this.#submit(data, { committed, failed })
  }

  /** Throws notLeader, notReady or stopping. */
  #requireLeading(): void {
    if (this.#closed !== undefined) throw new PlatformError(CLOSED_CODES[this.#closed], `log ${this.machine.log} takes no writes`)
    if (!this.#leading) throw new PlatformError(ERROR_CODES.notLeader, `log ${this.machine.log} is not led by this node`)
  }
}

const later = (done: AppendDone, outcome: AppendOutcome): void => queueMicrotask(() => done(outcome))

const CLOSED_CODES = { busy: ERROR_CODES.notReady, stopping: ERROR_CODES.stopping, removed: ERROR_CODES.notFound } as const

const BUSY_CODES: ReadonlySet<ErrorCode> = new Set([ERROR_CODES.proposalDropped, ERROR_CODES.notLeader, ERROR_CODES.notReady])

/** What a failed proposal means for its batch. Certainly not stored is said only when it is certain (L11, L35). */
function outcomeOf(error: PlatformError): AppendOutcome {
  if (BUSY_CODES.has(error.code)) return { kind: 'rejected', reason: 'busy' }
  if (error.code === ERROR_CODES.stopping) return { kind: 'rejected', reason: 'stopping' }
  if (error.code === ERROR_CODES.tooLarge) return { kind: 'rejected', reason: 'too-large' }
  return { kind: 'unknown' }
}
