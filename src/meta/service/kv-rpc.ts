// SPDX-License-Identifier: Apache-2.0
// The key-value store of this node as a service for others.
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { KvClient } from '#contract/client/kv-client'
import type { RpcService, RpcSink, RpcSource, UnaryHandler } from '#contract/client/rpc'
import * as wire from '../wire/kv-wire.ts'

export function kvRpcService(kv: KvClient): RpcService {
  const unary = new Map<string, UnaryHandler>([
    [
      wire.KV_METHOD.get,
      async (message) => {
        const { key, stale } = wire.decodeGetRequest(message)
        return wire.encodeGetReply(await kv.get(key, readOptions(stale)))
      },
    ],
    [
      wire.KV_METHOD.range,
      async (message) => {
        const { request, stale } = wire.decodeRangeRequest(message)
        return wire.encodeRangeReply(await kv.range(request, readOptions(stale)))
      },
    ],
    [
      wire.KV_METHOD.transact,
      async (message) => {
        const { transaction, attempt } = wire.decodeTransactRequest(message)
        return wire.encodeTransactReply(await kv.transaction(transaction, attempt === undefined ? {} : { attempt }))
      },
    ],
    [wire.KV_METHOD.openSession, async () => wire.encodeOpenSessionReply(await kv.openSession())],
  ])
  return { unary, serverStream: new Map([[wire.KV_METHOD.watch, (message, sink) => new WatchStream(kv, message, sink)]]) }
}

const readOptions = (stale: boolean): { readonly consistency: 'stale' | 'linearizable' } => ({
  consistency: stale ? 'stale' : 'linearizable',
})

/** Reads on only when what was read before has been taken. */
class WatchStream implements RpcSource {
  readonly #watch: ReturnType<KvClient['watch']>
  readonly #sink: RpcSink
  #cancelled = false
  #drained: (() => void) | undefined

  constructor(kv: KvClient, message: Buffer, sink: RpcSink) {
    this.#watch = kv.watch(wire.decodeWatchRequest(message))
    this.#sink = sink
    this.#run().then(
      () => this.#end(undefined),
      (error: unknown) => this.#end(isPlatformError(error) ? error : failed(error)),
    )
  }

  onDrain(): void {
    this.#drained?.()
  }

  onCancel(): void {
    this.#cancelled = true
    this.#watch.close()
    this.#drained?.()
  }

  async #run(): Promise<void> {
    for await (const message of this.#watch) {
      if (this.#cancelled) return
      if (this.#sink.write(wire.encodeWatchMessage(message))) continue
      await new Promise<void>((resolve) => {
        this.#drained = resolve
      })
    }
  }

  #end(error: PlatformError | undefined): void {
    if (!this.#cancelled) this.#sink.end(error)
  }
}

const failed = (cause: unknown): PlatformError => new PlatformError(ERROR_CODES.internal, 'a watch failed on its node', { cause })
