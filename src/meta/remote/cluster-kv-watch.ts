// SPDX-License-Identifier: Apache-2.0
// A watch that outlives the node that serves it: it goes on at another one, at the revision after the last it was told of (T13).
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock, Timer } from '#base/port/clock'
import type { KvRevision, KvWatch, KvWatchMessage, KvWatchRequest } from '#contract/client/kv-client'

const RETRY_DELAY_MS = 50

export class ClusterKvWatch implements KvWatch {
  readonly #request: KvWatchRequest
  readonly #open: (request: KvWatchRequest) => KvWatch
  readonly #moveOn: () => void
  readonly #clock: Clock
  /** Everything up to here was told, by whichever node; undefined while none has said where the watch begins. */
  #told: KvRevision | undefined
  #watch: KvWatch | undefined
  #closed = false
  #pause: { readonly timer: Timer; readonly end: () => void } | undefined

  constructor(request: KvWatchRequest, open: (request: KvWatchRequest) => KvWatch, moveOn: () => void, clock: Clock) {
    this.#request = request
    this.#told = request.fromRevision === undefined ? undefined : request.fromRevision - 1
    this.#open = open
    this.#moveOn = moveOn
    this.#clock = clock
  }

  async next(): Promise<KvWatchMessage | undefined> {
    while (!this.#closed) {
      try {
        this.#watch ??= this.#open(this.#told === undefined ? this.#request : { ...this.#request, fromRevision: this.#told + 1 })
        const message = await this.#watch.next()
        if (message === undefined || message.kind === 'compacted') {
          this.close()
          return message
        }
        this.#told = message.revision
        return message
      } catch (error) {
        if (!isPlatformError(error) || !MOVED.includes(error.code)) throw error
      }
      this.#watch?.close()
      this.#watch = undefined
      this.#moveOn()
      await this.#rest()
    }
    return undefined
  }

  close(): void {
    this.#closed = true
    this.#watch?.close()
    this.#pause?.timer.cancel()
    this.#pause?.end()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<KvWatchMessage> {
    try {
      for (let message = await this.next(); message !== undefined; message = await this.next()) yield message
    } finally {
      this.close()
    }
  }

  async #rest(): Promise<void> {
    if (this.#closed) return
    await new Promise<void>((end) => {
      this.#pause = { timer: this.#clock.after(RETRY_DELAY_MS, end), end }
    })
    this.#pause = undefined
  }
}

/** The node that served is gone, or cannot serve. */
const MOVED: readonly unknown[] = [
  ERROR_CODES.unreachable,
  ERROR_CODES.stopping,
  ERROR_CODES.notReady,
  ERROR_CODES.notLeader,
  ERROR_CODES.outcomeUnknown,
  ERROR_CODES.quotaExceeded,
]
