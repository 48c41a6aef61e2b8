// SPDX-License-Identifier: Apache-2.0
// One stream from a server to its caller: in order, with a window, until a side ends it or it breaks.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { RpcSink, RpcSource, RpcStream, RpcStreamHandler } from '#contract/client/rpc'
import type { Life } from '../../life.ts'
import type { SimRandom } from '../../random.ts'
import type { RpcConditions } from './rpc-conditions.ts'

/** What carries it. */
export interface StreamSurroundings {
  readonly random: SimRandom
  readonly conditions: RpcConditions
  later(delayMs: number, act: () => void, life?: Life): void
  delayMs(): number
  /** Nothing more will come of it. */
  ended(stream: RpcCallStream): void
}

export class RpcCallStream implements RpcStream, RpcSink {
  readonly #network: StreamSurroundings
  readonly #handler: RpcStreamHandler
  #life: Life | undefined
  #source: RpcSource | undefined
  /** On their way, and arrived for a caller that has paused. */
  #queue: Buffer[] = []
  #arrived = 0
  #paused = false
  /** The server was told to wait. */
  #full = false
  #ended: { readonly error: PlatformError | undefined } | undefined
  /** Nothing reaches the caller any more. */
  #over = false

  constructor(network: StreamSurroundings, handler: RpcStreamHandler) {
    this.#network = network
    this.#handler = handler
  }

  /** Of the process that serves it. */
  get life(): Life | undefined {
    return this.#life
  }

  serve(life: Life, open: (sink: RpcSink) => RpcSource): void {
    if (this.#over) return
    this.#life = life
    const begin = (): void => {
      if (this.#over) return
      try {
        this.#source = open(this)
      } catch (error) {
        if (!(error instanceof PlatformError)) throw error
        this.end(new PlatformError(error.code, error.message))
      }
    }
    this.#network.later(0, begin, life)
  }

  /** The connection breaks: each side learns of it by itself, and what is under way is lost. */
  break(): void {
    if (this.#over) return
    this.#close()
    const error = new PlatformError(ERROR_CODES.unreachable, 'the connection broke')
    this.#network.later(this.#network.delayMs(), () => this.#handler.onEnd(error))
  }

  // The server's side.

  write(message: Buffer): boolean {
    if (this.#over) return false
    const { random, conditions } = this.#network
    if (random.chance(conditions.breakRatio)) {
      this.break()
      return false
    }
    this.#queue.push(message)
    this.#network.later(this.#network.delayMs(), () => {
      this.#arrived++
      this.#deliver()
    })
    this.#full = this.#queue.length >= conditions.windowMessages
    return !this.#full
  }

  end(error?: PlatformError): void {
    if (this.#over || this.#ended !== undefined) return
    this.#ended = { error }
    this.#network.later(this.#network.delayMs(), () => this.#deliver())
  }

  // The caller's side.

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#network.later(0, () => this.#deliver())
  }

  cancel(): void {
    if (!this.#over) this.#close()
  }

  #deliver(): void {
    while (!this.#over && !this.#paused && this.#arrived > 0) {
      const message = this.#queue.shift() as Buffer
      this.#arrived--
      this.#handler.onMessage(message)
    }
    if (this.#over || this.#paused) return
    if (this.#full && this.#queue.length < this.#network.conditions.windowMessages) {
      this.#full = false
      this.#network.later(0, () => !this.#over && this.#source?.onDrain(), this.#life)
    }
    if (this.#ended === undefined || this.#queue.length > 0) return
    this.#over = true
    this.#network.ended(this)
    this.#handler.onEnd(this.#ended.error)
  }

  #close(): void {
    this.#over = true
    this.#queue = []
    this.#network.ended(this)
    const source = this.#source
    if (source !== undefined && this.#ended === undefined) this.#network.later(this.#network.delayMs(), () => source.onCancel(), this.#life)
  }
}
