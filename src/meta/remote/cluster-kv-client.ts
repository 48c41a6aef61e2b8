// SPDX-License-Identifier: Apache-2.0
// The key-value store of a cluster, whichever of its nodes are there. A call goes to one node, and to the next when that one cannot serve. Writes are done in a
// client session under a number of their own, so that one whose outcome is unknown is tried again without being done twice (R54).
import { must } from '#base/assert'
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock } from '#base/port/clock'
import type { NodeId } from '#base/port/peer-transport'
import type {
  KvAttempt,
  KvCallOptions,
  KvClient,
  KvGetReply,
  KvRangeReply,
  KvRangeRequest,
  KvReadOptions,
  KvTransaction,
  KvTransactionReply,
  KvWatch,
  KvWatchRequest,
  KvWriteOptions,
} from '#contract/client/kv-client'
import { KvWrites } from '../kv/kv-writes.ts'
import { AttemptSession } from './attempt-session.ts'
import { ClusterKvWatch } from './cluster-kv-watch.ts'

const DEADLINE_MS = 10_000
const RETRY_DELAY_MS = 50
/** One node is not waited for longer than this when there are others. */
const TRY_MS_MAX = 3000

export class ClusterKvClient extends KvWrites implements KvClient {
  readonly #nodes: ReadonlyMap<NodeId, KvClient>
  readonly #order: readonly NodeId[]
  readonly #clock: Clock
  #preferred: NodeId
  #session: Promise<AttemptSession> | undefined

  /** `nodes` that have a replica, the one to begin with first. */
  constructor(nodes: ReadonlyMap<NodeId, KvClient>, clock: Clock) {
    super()
    this.#nodes = nodes
    this.#order = [...nodes.keys()]
    this.#clock = clock
    this.#preferred = must(this.#order[0], 'a cluster has a node')
  }

  get(key: Buffer, options: KvReadOptions = {}): Promise<KvGetReply> {
    return this.#retried(options, (node, deadlineMs) => node.get(key, { ...options, deadlineMs }))
  }

  range(request: KvRangeRequest, options: KvReadOptions = {}): Promise<KvRangeReply> {
    return this.#retried(options, (node, deadlineMs) => node.range(request, { ...options, deadlineMs }))
  }

  async transaction(transaction: KvTransaction, options: KvWriteOptions = {}): Promise<KvTransactionReply> {
    if (options.attempt !== undefined) return this.#attempted(transaction, options.attempt, options)
    const giveUpAtMs = this.#clock.monotonic() + (options.deadlineMs ?? DEADLINE_MS)
    for (;;) {
      const session = await this.#currentSession(giveUpAtMs)
      const sequence = await session.begin()
      const trace = { unknown: false }
      try {
        const attempt = { session: session.id, sequence }
        return await this.#attempted(transaction, attempt, { deadlineMs: giveUpAtMs - this.#clock.monotonic() }, trace)
      } catch (error) {
        if (!isPlatformError(error, ERROR_CODES.sessionExpired)) throw error
        this.#session = undefined
        if (trace.unknown)
          throw new PlatformError(ERROR_CODES.outcomeUnknown, 'the session ended before the outcome of a write was known', { cause: error })
      } finally {
        session.end(sequence)
      }
    }
  }

  watch(request: KvWatchRequest): KvWatch {
    return new ClusterKvWatch(
      request,
      (at) => this.#preferredNode().watch(at),
      () => this.#next(undefined),
      this.#clock,
    )
  }

  openSession(options: KvCallOptions = {}): Promise<number> {
    return this.#retried(options, (node, deadlineMs) => node.openSession({ deadlineMs }))
  }

  #attempted(
    transaction: KvTransaction,
    attempt: KvAttempt,
    options: KvCallOptions,
    trace?: { unknown: boolean },
  ): Promise<KvTransactionReply> {
    return this.#retried(options, (node, deadlineMs) => node.transaction(transaction, { attempt, deadlineMs }), trace)
  }

  /** Every call here may be made again: reads, openings of sessions, and writes that name their attempt. */
  async #retried<T>(
    options: KvCallOptions,
    call: (node: KvClient, deadlineMs: number) => Promise<T>,
    trace = { unknown: false },
  ): Promise<T> {
    const giveUpAtMs = this.#clock.monotonic() + (options.deadlineMs ?? DEADLINE_MS)
    for (let failures = 1; ; failures++) {
      const leftMs = giveUpAtMs - this.#clock.monotonic()
      try {
        return await call(this.#preferredNode(), this.#order.length === 1 ? leftMs : Math.min(leftMs, TRY_MS_MAX))
      } catch (error) {
        if (!isPlatformError(error) || !RETRIED.includes(error.code)) throw error
        trace.unknown ||= error.code === ERROR_CODES.outcomeUnknown
        this.#next(error)
        if (this.#clock.monotonic() + RETRY_DELAY_MS >= giveUpAtMs) throw trace.unknown ? unknownBecause(error) : error
      }
      // Once around without a pause: most failures are those of one node.
      if (failures % this.#order.length === 0) await new Promise<void>((resolve) => this.#clock.after(RETRY_DELAY_MS, resolve))
    }
  }

  /** To whom an error points, else to the next in turn. */
  #next(error: PlatformError | undefined): void {
    const leader = error?.detail['leader']
    const isHint = typeof leader === 'number' && leader !== this.#preferred && this.#nodes.has(leader)
    const after = this.#order[(this.#order.indexOf(this.#preferred) + 1) % this.#order.length]
    this.#preferred = isHint ? leader : must(after, 'the index is below the length')
  }

  #preferredNode(): KvClient {
    return must(this.#nodes.get(this.#preferred), 'the preferred node is one of those there are')
  }

  #currentSession(giveUpAtMs: number): Promise<AttemptSession> {
    this.#session ??= this.openSession({ deadlineMs: giveUpAtMs - this.#clock.monotonic() }).then(
      (id) => new AttemptSession(id),
      (error: unknown) => {
        this.#session = undefined
        throw error
      },
    )
    return this.#session
  }
}

const RETRIED: readonly unknown[] = [
  ERROR_CODES.notLeader,
  ERROR_CODES.notReady,
  ERROR_CODES.unreachable,
  ERROR_CODES.stopping,
  ERROR_CODES.proposalDropped,
  ERROR_CODES.outcomeUnknown,
]

const unknownBecause = (cause: PlatformError): PlatformError =>
  cause.code === ERROR_CODES.outcomeUnknown
    ? cause
    : new PlatformError(ERROR_CODES.outcomeUnknown, 'an attempt had no answer, and no later one could be made', { cause })
