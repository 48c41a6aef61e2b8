// SPDX-License-Identifier: Apache-2.0
// Calls between nodes, as bytes: a service is a name and what answers its methods, a call is `service/method`. Who calls has been
// authenticated, and belongs to the same cluster, before a handler sees anything of it. What the bytes mean is between client and service.
import type { PlatformError } from '#base/error'
import type { NodeId } from '#base/port/peer-transport'

export interface RpcPeer {
  readonly nodeId: NodeId
  /** Larger at every start of that node. */
  readonly bootEpoch: number
}

/** A rejection with a PlatformError reaches the caller with its code and message; anything else reaches it as `internal`. */
export type UnaryHandler = (request: Buffer, peer: RpcPeer) => Promise<Buffer>

/** The answer to one request, as it is being sent. */
export interface RpcSink {
  /** Queues a message, which must not change afterwards. False: enough is queued, go on after `onDrain`. */
  write(message: Buffer): boolean
  /** The last call: the caller gets what was written, then the end, or the error. */
  end(error?: PlatformError): void
}

/** What the one who fills a sink is told. No call comes after `onCancel`, nor after the sink was ended. */
export interface RpcSource {
  onDrain(): void
  /** The caller has lost interest or its connection. Nothing can be written any more. */
  onCancel(): void
}

/** May throw a PlatformError, which ends the stream. */
export type ServerStreamHandler = (request: Buffer, sink: RpcSink, peer: RpcPeer) => RpcSource

export interface RpcService {
  readonly unary: ReadonlyMap<string, UnaryHandler>
  readonly serverStream: ReadonlyMap<string, ServerStreamHandler>
}

export interface RpcServer {
  /** Serves from now on. A name is taken once. Names are letters and digits: 'MetaKv'. */
  register(name: string, service: RpcService): void
}

export interface RpcStreamHandler {
  /** The bytes belong to the handler. */
  onMessage(message: Buffer): void
  /** The last call: undefined when the server ended it, else as of `unary`. Does not come after `cancel`. */
  onEnd(error: PlatformError | undefined): void
}

export interface RpcStream {
  /** Back-pressure towards the server. A few messages that are under way may still be told. */
  pause(): void
  resume(): void
  cancel(): void
}

export interface RpcClient {
  /**
   * Resolves with the answer. Rejects with what the service answered; with `unreachable` when the request was not sent; with
   * `outcomeUnknown` when it was, and no answer came: within `deadlineMs`, or before the connection broke. A node does not call itself.
   */
  unary(to: NodeId, call: string, request: Buffer, deadlineMs: number): Promise<Buffer>
  /** Lasts until one side ends it or the connection breaks, which is `unreachable`. No call of the handler comes before this has returned. */
  serverStream(to: NodeId, call: string, request: Buffer, handler: RpcStreamHandler): RpcStream
}
