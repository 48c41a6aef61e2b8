// SPDX-License-Identifier: Apache-2.0
// One watch on the key-value table. Its reader pulls: a revision is read when it is asked for, and only what is applied on this node is.
import { assert } from '#base/assert'
import type { KvEvent, KvItem, KvRevision, KvWatch, KvWatchMessage, KvWatchRequest } from '#contract/client/kv-client'
import type { KvChange, KvHistory } from './kv-history.ts'

/** Revisions that did not concern the reader, after which it is told where it stands: far fewer than are kept. */
const PROGRESS_REVISIONS = 32

export interface KvWatchOptions {
  /** Resolves with the last revision that the watch need not tell of. */
  readonly start: () => Promise<KvRevision>
  /** Why the watch must end, if it must. Thrown to the reader. */
  readonly broken: () => Error | undefined
  readonly onClose: (watch: KvWatcher) => void
}

export class KvWatcher implements KvWatch {
  readonly #history: KvHistory
  readonly #request: KvWatchRequest
  readonly #options: KvWatchOptions
  /** Everything up to here has been looked at; undefined before the start. */
  #seen: KvRevision | undefined
  /** The last one that the reader was told of. */
  #told = 0
  #page: readonly KvChange[] = []
  #at = 0
  #state: 'open' | 'closed' = 'open'
  #reading = false
  #wake: (() => void) | undefined

  constructor(history: KvHistory, request: KvWatchRequest, options: KvWatchOptions) {
    this.#history = history
    this.#request = request
    this.#options = options
  }

  async next(): Promise<KvWatchMessage | undefined> {
    assert(!this.#reading, 'a watch has one reader')
    this.#reading = true
    try {
      return await this.#next()
    } finally {
      this.#reading = false
    }
  }

  close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#wake?.()
    this.#options.onClose(this)
  }

  /** Makes a reader that waits look whether the watch is broken. */
  interrupt(): void {
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<KvWatchMessage> {
    try {
      for (let message = await this.next(); message !== undefined; message = await this.next()) yield message
    } finally {
      this.close()
    }
  }

  async #next(): Promise<KvWatchMessage | undefined> {
    if (this.#seen === undefined && this.#state === 'open') {
      this.#seen = await this.#options.start()
      return this.#progress(this.#seen)
    }
    for (;;) {
      const broken = this.#options.broken()
      if (broken !== undefined) throw broken
      if (this.#state === 'closed') return undefined
      const change = this.#page[this.#at++]
      if (change === undefined) {
        const compacted = await this.#turnPage()
        if (compacted !== undefined) return compacted
        continue
      }
      const message = this.#messageOf(change)
      if (message !== undefined) return message
    }
  }

  /** Reads on, or waits until there is something to read. */
  async #turnPage(): Promise<KvWatchMessage | undefined> {
    const wanted = (this.#seen ?? 0) + 1
    const page = await this.#history.read(wanted)
    if (page.kind === 'compacted') {
      this.close()
      return page
    }
    this.#page = page.changes
    this.#at = 0
    if (page.changes.length > 0 || this.#state === 'closed') return undefined
    const { promise, cancel } = this.#history.applied(wanted)
    this.#wake = cancel
    if (this.#options.broken() !== undefined) cancel()
    try {
      await promise
    } finally {
      this.#wake = undefined
    }
    return undefined
  }

  #messageOf({ revision, events }: KvChange): KvWatchMessage | undefined {
    assert(revision === (this.#seen ?? 0) + 1, 'a watch tells of revisions in order and without a gap')
    this.#seen = revision
    const { previousValues = false } = this.#request
    const own = events.filter(({ item }) => this.#concerns(item))
    if (own.length === 0) return revision - this.#told >= PROGRESS_REVISIONS ? this.#progress(revision) : undefined
    this.#told = revision
    return { kind: 'events', revision, events: previousValues ? own : own.map(withoutPrevious) }
  }

  #progress(revision: KvRevision): KvWatchMessage {
    this.#told = revision
    return { kind: 'progress', revision }
  }

  #concerns({ key }: KvItem): boolean {
    const { gte, lt } = this.#request
    return key.compare(gte) >= 0 && (lt === undefined || key.compare(lt) < 0)
  }
}

const withoutPrevious = ({ kind, item }: KvEvent): KvEvent => ({ kind, item, previous: undefined })
