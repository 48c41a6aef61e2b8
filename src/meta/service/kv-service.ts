// SPDX-License-Identifier: Apache-2.0
// The key-value store of the cluster on a node that has a replica of it. Writes and linearizable reads may be asked for on any such node; stale reads
// and watches are answered from what this one has applied.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock } from '#base/port/clock'
import type { Kv } from '#base/port/kv'
import {
  KV_LIMITS,
  type KvAttempt,
  type KvCallOptions,
  type KvClient,
  type KvGetReply,
  type KvItem,
  type KvRangeReply,
  type KvRangeRequest,
  type KvReadOptions,
  type KvTransaction,
  type KvTransactionReply,
  type KvWatch,
  type KvWatchRequest,
  type KvWriteOptions,
} from '#contract/client/kv-client'
import type { AppliedSignal } from '../applied-signal.ts'
import { keyOfPair } from '../codec/key.ts'
import { decodeKvHead, itemOf } from '../codec/kv-codec.ts'
import { inClientSession, openClientSession } from '../command/client-session-command.ts'
import type { Command } from '../command/command.ts'
import { checkKey, checkSpan, checkTransaction, transactKv } from '../command/kv-command.ts'
import { KvWrites } from '../kv/kv-writes.ts'
import { within } from './deadline.ts'
import type { GroupClient } from './group-client.ts'
import { KvHistory } from './kv-history.ts'
import { KvWatcher } from './kv-watch.ts'

const DEADLINE_MS = 10_000
const RANGE_PAGE_PAIRS = 64
/** Of one node, over all its clients. */
const WATCHES_MAX = 10_000
const NO_VALUE = Buffer.alloc(0)

export class KvService extends KvWrites implements KvClient {
  readonly #group: GroupClient
  readonly #clock: Clock
  readonly #history: KvHistory
  readonly #watches = new Set<KvWatcher>()
  #stopping: PlatformError | undefined

  constructor(group: GroupClient, clock: Clock, signal: AppliedSignal) {
    super()
    this.#group = group
    this.#clock = clock
    this.#history = new KvHistory(group.kv, group.keys, signal)
  }

  /** Ends all watches: their readers go on at another node. */
  stop(): void {
    this.#stopping = new PlatformError(ERROR_CODES.stopping, 'this node is stopping; watch on at another one')
    for (const watch of this.#watches) watch.interrupt()
  }

  get(key: Buffer, options: KvReadOptions = {}): Promise<KvGetReply> {
    return this.#within(options, async () => {
      checkKey(key)
      if (options.consistency !== 'stale') await this.#group.barrier()
      const [head, pair] = await this.#group.kv.getMany([this.#group.keys.kvHead, this.#group.keys.kvPair(key)])
      return { revision: decodeKvHead(head).revision, item: pair && itemOf(key, pair) }
    })
  }

  range(request: KvRangeRequest, options: KvReadOptions = {}): Promise<KvRangeReply> {
    return this.#within(options, async () => {
      checkSpan(request)
      const limit = request.limit ?? KV_LIMITS.rangePairsMax
      if (!(limit >= 1 && limit <= KV_LIMITS.rangePairsMax))
        throw new PlatformError(ERROR_CODES.invalid, `a page has 1 to ${KV_LIMITS.rangePairsMax} items`, { detail: { limit } })
      if (options.consistency !== 'stale') await this.#group.barrier()
      // The head first: a page taken later misses nothing that its revision promises.
      const revision = await this.#history.revision()
      return { revision, ...(await this.#group.kv.whole((kv) => this.#page(kv, request, limit))) }
    })
  }

  transaction(transaction: KvTransaction, options: KvWriteOptions = {}): Promise<KvTransactionReply> {
    return this.#within(options, async () => {
      checkTransaction(transaction)
      const reply = await this.#submit(transactKv(transaction), options.attempt)
      if (reply.kind === 'tooLarge') {
        const text = `a transaction replaces, deletes and returns at most ${KV_LIMITS.affectedBytesMax} bytes, and deletes at most ${KV_LIMITS.affectedPairsMax} keys of a span`
        throw new PlatformError(ERROR_CODES.tooLarge, `${text}; do less at a time`)
      }
      const { succeeded, revision, results } = reply
      return { succeeded, revision, results }
    })
  }

  watch(request: KvWatchRequest): KvWatch {
    checkSpan(request)
    const { fromRevision } = request
    if (fromRevision !== undefined && !(Number.isSafeInteger(fromRevision) && fromRevision >= 1))
      throw new PlatformError(ERROR_CODES.invalid, 'a watch begins at a revision from 1 on')
    if (this.#watches.size >= WATCHES_MAX)
      throw new PlatformError(ERROR_CODES.quotaExceeded, `this node has ${WATCHES_MAX} watches; try another`)
    const watch = new KvWatcher(this.#history, request, {
      start: async () => {
        if (fromRevision !== undefined) return fromRevision - 1
        await this.#group.barrier()
        return this.#history.revision()
      },
      broken: () => this.#stopping,
      onClose: (closed) => {
        this.#watches.delete(closed)
        this.#history.detach()
      },
    })
    this.#watches.add(watch)
    this.#history.attach()
    return watch
  }

  openSession(options: KvCallOptions = {}): Promise<number> {
    return this.#within(options, () => this.#group.submit(openClientSession(this.#clock.realtime())))
  }

  async #submit<Reply>(command: Command<Reply>, attempt: KvAttempt | undefined): Promise<Reply> {
    if (attempt === undefined) return this.#group.submit(command)
    const { session, sequence } = attempt
    if (!(Number.isSafeInteger(sequence) && sequence >= 1 && Number.isSafeInteger(session) && session >= 1))
      throw new PlatformError(ERROR_CODES.invalid, 'sessions and sequences are counted from 1')
    const reply = await this.#group.submit(inClientSession(session, sequence, this.#clock.realtime(), command))
    if (reply.kind === 'done') return reply.reply
    const why = reply.kind === 'expired' ? 'has ended' : `has gone on beyond sequence ${sequence}`
    const text = `client session ${session} ${why}: whether an earlier attempt was done is unknown`
    throw new PlatformError(reply.kind === 'expired' ? ERROR_CODES.sessionExpired : ERROR_CODES.outcomeUnknown, text, {
      detail: { session, sequence },
    })
  }

  async #page(kv: Kv, { gte, lt, keysOnly = false }: KvRangeRequest, limit: number): Promise<{ items: readonly KvItem[]; more: boolean }> {
    const iterator = kv.iterate(this.#group.keys.kvPairs({ gte, lt }))
    const items: KvItem[] = []
    let bytes = 0
    try {
      for (;;) {
        const pairs = await iterator.next(Math.min(RANGE_PAGE_PAIRS, limit + 1 - items.length))
        if (pairs.length === 0) return { items, more: false }
        for (const { key, value } of pairs) {
          bytes += key.length + value.length
          if (items.length === limit || (items.length > 0 && bytes > KV_LIMITS.rangeBytesMax)) return { items, more: true }
          const item = itemOf(keyOfPair(key), value)
          items.push(keysOnly ? { ...item, value: NO_VALUE } : item)
        }
      }
    } finally {
      await iterator.close()
    }
  }

  #within<T>({ deadlineMs = DEADLINE_MS }: KvCallOptions, call: () => Promise<T>): Promise<T> {
    return within(this.#clock, deadlineMs, call())
  }
}
