// SPDX-License-Identifier: Apache-2.0
// Calls of services of other nodes. All calls to a node share one connection, apart from those of consensus.
import type { ClientReadableStream, ServiceError, StatusObject } from '@grpc/grpc-js'
import { status as GRPC } from '@grpc/grpc-js'
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { NodeId } from '#base/port/peer-transport'
import type { RpcClient, RpcStream, RpcStreamHandler } from '#contract/client/rpc'
import { deadline, type GrpcLink } from './grpc-link.ts'
import type { GrpcPool } from './grpc-pool.ts'
import { failureOf, isUnauthenticated } from './status.ts'

export class GrpcClient implements RpcClient {
  readonly #pool: GrpcPool

  constructor(pool: GrpcPool) {
    this.#pool = pool
  }

  async unary(to: NodeId, call: string, request: Buffer, deadlineMs: number): Promise<Buffer> {
    const deadlineAt = deadline(this.#pool.clock, deadlineMs)
    for (let isFirst = true; ; isFirst = false) {
      const link = await this.#link(to, deadlineMs)
      try {
        return await link.unary(call, request, deadlineAt)
      } catch (error) {
        if (isPlatformError(error)) throw error
        const status = error as ServiceError
        // The connection came back to an incarnation that has not met this node: nothing was done, another meeting is all that is needed.
        if (isUnauthenticated(status) && isFirst) this.#pool.discard(to, link)
        else throw this.#failure(to, link, call, status)
      }
    }
  }

  serverStream(to: NodeId, call: string, request: Buffer, handler: RpcStreamHandler): RpcStream {
    const stream = new CallStream(handler)
    this.#pool
      .callLink(to)
      .then((link) => stream.begin(link.serverStream(call, request), (status) => this.#streamFailure(to, link, call, status)))
      .catch((error: unknown) => {
        if (!isPlatformError(error)) throw error
        stream.end(error)
      })
    return stream
  }

  #link(to: NodeId, deadlineMs: number): Promise<GrpcLink> {
    return new Promise((resolve, reject) => {
      const late = this.#pool.clock.after(deadlineMs, () =>
        reject(new PlatformError(ERROR_CODES.unreachable, `node ${to} was not reached in time`, { detail: { node: to } })),
      )
      const settle =
        <T>(how: (value: T) => void) =>
        (value: T): void => {
          late.cancel()
          how(value)
        }
      this.#pool.callLink(to).then(settle(resolve), settle(reject))
    })
  }

  #failure(to: NodeId, link: GrpcLink, call: string, status: StatusObject): PlatformError {
    const failure = failureOf(status)
    if (failure !== undefined) return failure
    if (isBroken(status)) this.#pool.discard(to, link)
    const detail = { node: to, call }
    if (status.code === GRPC.UNIMPLEMENTED) return new PlatformError(ERROR_CODES.notReady, `node ${to} does not serve ${call}`, { detail })
    return new PlatformError(ERROR_CODES.outcomeUnknown, `node ${to} has not answered ${call}: ${status.details}`, { detail })
  }

  #streamFailure(to: NodeId, link: GrpcLink, call: string, status: StatusObject): PlatformError {
    const failure = failureOf(status)
    if (failure !== undefined) return failure
    if (isBroken(status)) this.#pool.discard(to, link)
    return new PlatformError(ERROR_CODES.unreachable, `the stream ${call} of node ${to} broke: ${status.details}`, {
      detail: { node: to, call },
    })
  }
}

const isBroken = (status: StatusObject): boolean => status.code === GRPC.UNAVAILABLE || isUnauthenticated(status)

/** What the caller holds, also while the connection is still being made. */
class CallStream implements RpcStream {
  readonly #handler: RpcStreamHandler
  #stream: ClientReadableStream<Buffer> | undefined
  #isPaused = false
  #isOver = false

  constructor(handler: RpcStreamHandler) {
    this.#handler = handler
  }

  begin(stream: ClientReadableStream<Buffer>, failure: (status: StatusObject) => PlatformError): void {
    this.#stream = stream
    // The end, however it came, is told as the status. The same is also told as an error, which must have a listener.
    stream.on('error', () => undefined)
    stream.on('data', (message: Buffer) => this.#isOver || this.#handler.onMessage(message))
    stream.once('status', (status: StatusObject) => {
      const error = status.code === GRPC.OK ? undefined : failure(status)
      if (error !== undefined || stream.readableEnded) this.end(error)
      else stream.once('end', () => this.end(undefined))
    })
    if (this.#isPaused) stream.pause()
    if (this.#isOver) stream.cancel()
  }

  end(error: PlatformError | undefined): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#handler.onEnd(error)
  }

  pause(): void {
    this.#isPaused = true
    this.#stream?.pause()
  }

  resume(): void {
    this.#isPaused = false
    this.#stream?.resume()
  }

  cancel(): void {
    this.#isOver = true
    this.#stream?.cancel()
  }
}
