// SPDX-License-Identifier: Apache-2.0
// The key-value store as one other node offers it. Each call is made once; who wants it to survive that node uses a ClusterKvClient.
import { assert } from '#base/assert'
import { isPlatformError, type PlatformError } from '#base/error'
import type { NodeId } from '#base/port/peer-transport'
import type {
  KvCallOptions,
  KvClient,
  KvGetReply,
  KvRangeReply,
  KvRangeRequest,
  KvReadOptions,
  KvTransaction,
  KvTransactionReply,
  KvWatch,
  KvWatchMessage,
  KvWatchRequest,
  KvWriteOptions,
} from '#contract/client/kv-client'
import type { RpcClient, RpcStream, RpcStreamHandler } from '#contract/client/rpc'
import { KvWrites } from '../kv/kv-writes.ts'
import * as wire from '../wire/kv-wire.ts'

const DEADLINE_MS = 10_000
/** Messages that wait for the reader before the server is asked to pause. */
const QUEUE_MAX = 16

export class RpcKvClient extends KvWrites implements KvClient {
  readonly #rpc: RpcClient
  readonly #node: NodeId

  constructor(rpc: RpcClient, node: NodeId) {
    super()
    this.#rpc = rpc
    this.#node = node
  }

  async get(key: Buffer, options: KvReadOptions = {}): Promise<KvGetReply> {
    const request = wire.encodeGetRequest({ key, stale: options.consistency === 'stale' })
    return wire.decodeGetReply(await this.#call(wire.KV_METHOD.get, request, options))
  }

  async range(request: KvRangeRequest, options: KvReadOptions = {}): Promise<KvRangeReply> {
    const message = wire.encodeRangeRequest({ request, stale: options.consistency === 'stale' })
    return wire.decodeRangeReply(await this.#call(wire.KV_METHOD.range, message, options))
  }

  async transaction(transaction: KvTransaction, options: KvWriteOptions = {}): Promise<KvTransactionReply> {
    const request = wire.encodeTransactRequest({ transaction, attempt: options.attempt })
    return wire.decodeTransactReply(await this.#call(wire.KV_METHOD.transact, request, options))
  }

  watch(request: KvWatchRequest): KvWatch {
    return new RpcWatch((handler) =>
      this.#rpc.serverStream(this.#node, `${wire.KV_SERVICE}/${wire.KV_METHOD.watch}`, wire.encodeWatchRequest(request), handler),
    )
  }

  async openSession(options: KvCallOptions = {}): Promise<number> {
    return wire.decodeOpenSessionReply(await this.#call(wire.KV_METHOD.openSession, Buffer.alloc(0), options))
  }

  #call(method: string, request: Buffer, { deadlineMs = DEADLINE_MS }: KvCallOptions): Promise<Buffer> {
    return this.#rpc.unary(this.#node, `${wire.KV_SERVICE}/${method}`, request, deadlineMs)
  }
}

class RpcWatch implements KvWatch, RpcStreamHandler {
  readonly #stream: RpcStream
  readonly #queue: KvWatchMessage[] = []
  #paused = false
  #over: { readonly error: PlatformError | undefined } | undefined
  #wake: (() => void) | undefined

  constructor(open: (handler: RpcStreamHandler) => RpcStream) {
    this.#stream = open(this)
  }

  async next(): Promise<KvWatchMessage | undefined> {
    assert(this.#wake === undefined, 'a watch has one reader')
    for (;;) {
      const message = this.#queue.shift()
      if (message !== undefined) {
        if (this.#paused && this.#queue.length === 0) this.#resume()
        return message
      }
      if (this.#over !== undefined) {
        if (this.#over.error !== undefined) throw this.#over.error
        return undefined
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = undefined
    }
  }

  close(): void {
    if (this.#over !== undefined) return
    this.#over = { error: undefined }
    this.#queue.length = 0
    this.#stream.cancel()
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<KvWatchMessage> {
    try {
      for (let message = await this.next(); message !== undefined; message = await this.next()) yield message
    } finally {
      this.close()
    }
  }

  onMessage(bytes: Buffer): void {
    if (this.#over !== undefined) return
    try {
      this.#queue.push(wire.decodeWatchMessage(bytes))
    } catch (error) {
      if (!isPlatformError(error)) throw error
      this.#stream.cancel()
      this.onEnd(error)
      return
    }
    if (!this.#paused && this.#queue.length >= QUEUE_MAX) {
      this.#paused = true
      this.#stream.pause()
    }
    this.#wake?.()
  }

  onEnd(error: PlatformError | undefined): void {
    this.#over ??= { error }
    this.#wake?.()
  }

  #resume(): void {
    this.#paused = false
    if (this.#over === undefined) this.#stream.resume()
  }
}
