// SPDX-License-Identifier: Apache-2.0
// The history of the key-value table as this node has applied it, for those who watch. What has just been applied is read once for all of them;
// who is behind that reads pages of the store by himself. Nothing waits for a watcher, and none has anything queued for him.
import { must } from '#base/assert'
import type { KvEvent, KvRevision } from '#contract/client/kv-client'
import type { AppliedSignal } from '../applied-signal.ts'
import { type GroupKeys, revisionOfEvents } from '../codec/key.ts'
import { decodeEvents, decodeKvHead, firstRevisionOf } from '../codec/kv-codec.ts'
import type { StateReads } from './replica-reads.ts'

/** Revisions that are kept in memory, and that are read at once. One has at most about 2 MiB of events. */
const RECENT_MAX = 64
const RECENT_BYTES_MAX = 1 << 22
const PAGE_REVISIONS = 16

/** All that one revision has changed, with what was before. */
export interface KvChange {
  readonly revision: KvRevision
  readonly events: readonly KvEvent[]
  readonly bytes: number
}

/** 'changes': without a gap from the revision that was asked for; none when it is not applied yet. */
export type KvHistoryPage =
  | { readonly kind: 'changes'; readonly changes: readonly KvChange[] }
  | { readonly kind: 'compacted'; readonly firstRevision: KvRevision }

interface Waiter {
  readonly revision: KvRevision
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export class KvHistory {
  readonly #kv: StateReads
  readonly #keys: GroupKeys
  readonly #signal: AppliedSignal
  /** Consecutive, the oldest first. */
  #recent: KvChange[] = []
  #recentBytes = 0
  readonly #waiters = new Set<Waiter>()
  #watches = 0
  #stopListening: (() => void) | undefined
  #refreshing = false
  #moved = false

  constructor(kv: StateReads, keys: GroupKeys, signal: AppliedSignal) {
    this.#kv = kv
    this.#keys = keys
    this.#signal = signal
  }

  /** A watch begins: from now on what is new is kept for it, until as many `detach`. */
  attach(): void {
    this.#watches++
    this.#stopListening ??= this.#signal.listen(() => this.#refresh())
  }

  detach(): void {
    this.#watches--
    if (this.#watches > 0) return
    this.#stopListening?.()
    this.#stopListening = undefined
    this.#forget()
  }

  /** Of the last change that is applied here. */
  async revision(): Promise<KvRevision> {
    return decodeKvHead(await this.#kv.get(this.#keys.kvHead)).revision
  }

  /** Resolves with the first changes from `revision` on. */
  async read(revision: KvRevision): Promise<KvHistoryPage> {
    for (;;) {
      const first = this.#recent[0]
      if (first !== undefined && first.revision <= revision && revision - first.revision < this.#recent.length)
        return { kind: 'changes', changes: this.#recent.slice(revision - first.revision) }
      const head = decodeKvHead(await this.#kv.get(this.#keys.kvHead))
      if (revision > head.revision) return { kind: 'changes', changes: [] }
      if (revision < firstRevisionOf(head)) return { kind: 'compacted', firstRevision: firstRevisionOf(head) }
      const changes = await this.#load(revision, PAGE_REVISIONS)
      if (changes.length > 0) return { kind: 'changes', changes }
      // It was dropped between the two reads: the head tells so now.
    }
  }

  /** Resolves when `revision` is applied here. `cancel` makes it resolve at once. */
  applied(revision: KvRevision): { readonly promise: Promise<void>; readonly cancel: () => void } {
    let waiter: Waiter | undefined
    const promise = new Promise<void>((resolve, reject) => {
      waiter = { revision, resolve, reject }
      this.#waiters.add(waiter)
    })
    this.#refresh()
    const cancel = (): void => {
      const own = must(waiter, 'a promise runs its executor at once')
      if (this.#waiters.delete(own)) own.resolve()
    }
    return { promise, cancel }
  }

  /** One reading at a time; what is applied meanwhile makes another one follow. */
  #refresh(): void {
    this.#moved = true
    if (this.#refreshing) return
    this.#refreshing = true
    this.#readOn().catch((error: unknown) => {
      for (const waiter of this.#waiters) waiter.reject(error)
      this.#waiters.clear()
      this.#refreshing = false
    })
  }

  async #readOn(): Promise<void> {
    while (this.#moved && this.#waiters.size > 0) {
      this.#moved = false
      const { revision } = decodeKvHead(await this.#kv.get(this.#keys.kvHead))
      await this.#keep(revision)
      for (const waiter of this.#waiters) {
        if (waiter.revision > revision) continue
        this.#waiters.delete(waiter)
        waiter.resolve()
      }
    }
    // In the same step in which it was seen that there is nothing more: what moves from now on makes another reading begin.
    this.#refreshing = false
  }

  /** Reads what is new up to `head` for all watchers, unless it is so much that they are all behind. */
  async #keep(head: KvRevision): Promise<void> {
    const last = this.#recent.at(-1)?.revision
    if (last === head) return
    if (last === undefined || head - last > RECENT_MAX || head < last) this.#forget()
    const from = this.#recent.length > 0 ? must(last, 'what is kept has a last revision') + 1 : head
    const changes = head === 0 ? [] : await this.#load(from, head + 1 - from)
    if (changes.length === 0) this.#forget()
    for (const change of changes) {
      this.#recent.push(change)
      this.#recentBytes += change.bytes
    }
    while (this.#recent.length > RECENT_MAX || (this.#recent.length > 1 && this.#recentBytes > RECENT_BYTES_MAX))
      this.#recentBytes -= must(this.#recent.shift(), 'there is one too many').bytes
  }

  /** The changes from `revision` on, up to the first gap. */
  async #load(revision: KvRevision, count: number): Promise<readonly KvChange[]> {
    const range = { gte: this.#keys.kvEvents(revision), lt: this.#keys.kvEvents(revision + count), limit: count }
    const changes: KvChange[] = []
    for (const { key, value } of await this.#kv.scan(range)) {
      const found = revisionOfEvents(key)
      if (found !== revision + changes.length) break
      changes.push({ revision: found, events: decodeEvents(found, value), bytes: value.length })
    }
    return changes
  }

  #forget(): void {
    this.#recent = []
    this.#recentBytes = 0
  }
}
