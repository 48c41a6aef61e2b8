// SPDX-License-Identifier: Apache-2.0
// The one port on which a node hears the others. It serves calls by their path; who may call is the reception's. Every handler is given the
// call before anything of its message is read, so that nobody who was not taken in can make this node collect bytes.
import { Server } from '@grpc/grpc-js'
import { isLoopback, joinAddress, listenError } from '#base/address'
import { assert } from '#base/assert'
import type { Component } from '#base/component'
import { isPlatformError, messageOf, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Logger } from '#base/port/logger'
import type { RpcServer, RpcService, ServerStreamHandler, UnaryHandler } from '#contract/client/rpc'
import type { Certificates, ClusterTls } from './certificates.ts'
import { asIs, NO_BYTES, pathOf, type ServerCall } from './grpc-call.ts'
import type { GrpcMetrics } from './grpc-metrics.ts'
import { type ClusterProtection, serverCredentials, serverOptions } from './grpc-options.ts'
import { type PeerRegistry, refusalReasonOf } from './peer-registry.ts'
import { isNode, type Reception, type Session } from './reception.ts'
import { CallFailure, unauthenticated } from './status.ts'

export interface GrpcServerOptions {
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
  readonly protection: ClusterProtection
  /** Of one message, either way. */
  readonly messageBytesMax: number
  /** Reads the certificates again; undefined for none. Rejects with configInvalid for what cannot be used. */
  readonly readTls?: () => Promise<ClusterTls | undefined>
}

export class GrpcServer implements Component, RpcServer {
  readonly name = 'grpc'
  readonly #logger: Logger
  readonly #reception: Reception
  readonly #options: GrpcServerOptions
  readonly #metrics: GrpcMetrics
  readonly #certificates: Certificates | undefined
  readonly #server: Server
  #address: string | undefined

  constructor(
    logger: Logger,
    registry: PeerRegistry,
    reception: Reception,
    metrics: GrpcMetrics,
    certificates: Certificates | undefined,
    options: GrpcServerOptions,
  ) {
    const { secret, tls } = options.protection
    assert(
      isLoopback(options.host) || secret !== '' || tls !== undefined,
      'what other machines can reach is protected by a secret or by certificates (DESIGN 7)',
    )
    this.#logger = logger
    this.#reception = reception
    this.#options = options
    this.#metrics = metrics
    this.#certificates = certificates
    this.#server = new Server(serverOptions(options.messageBytesMax))
    this.#serveMeetings(registry)
  }

  addresses(): readonly string[] {
    return this.#address === undefined ? [] : [`grpc ${this.#address}`]
  }

  register(name: string, { unary, serverStream }: RpcService): void {
    assert(/^[A-Za-z]\w*$/.test(name), 'a service has a plain name')
    for (const [method, handler] of unary) this.handle(`${name}/${method}`, (call, session) => this.#serveUnary(handler, call, session))
    for (const [method, handler] of serverStream)
      this.handle(`${name}/${method}`, (call, session) => this.#serveStream(handler, call, session))
  }

  /** Serves calls of nodes and operators that were taken in. */
  handle(call: string, serve: (call: ServerCall, session: Session) => void): void {
    this.#register(call, (served) => {
      const session = this.#reception.sessionOf(served)
      if (session === undefined) {
        served.emit('error', unauthenticated())
        return
      }
      this.#metrics.calls.add(1)
      serve(served, session)
    })
  }

  /** The same, and not those of an operator's command. */
  handleOfNodes(call: string, serve: (call: ServerCall, session: Session) => void): void {
    this.handle(call, (served, session) => {
      if (isNode(session)) serve(served, session)
      else this.fail(served, new PlatformError(ERROR_CODES.invalid, `${call} is for nodes of the cluster only`))
    })
  }

  /** Ends a call with a failure. What is no PlatformError is a bug, and is told here only. */
  fail(call: ServerCall, error: unknown): void {
    this.#metrics.failures.add(1)
    if (!isPlatformError(error))
      this.#logger.log('error', 'a call of another node failed', { call: call.getPath(), error: messageOf(error) })
    call.emit('error', new CallFailure(error))
  }

  /** Rejects with addressInUse, or with configInvalid. */
  start(): Promise<void> {
    const { host, port } = this.#options
    const address = joinAddress(host, port)
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, serverCredentials(this.#certificates), (error, bound) => {
        if (error !== null) {
          const code = /\bE[A-Z]{3,}\b/.exec(error.message)?.[0]
          reject(listenError(address, Object.assign(error, { code })))
          return
        }
        this.#address = joinAddress(host, bound)
        resolve()
      })
    })
  }

  /** Certificates may have been replaced. Rejects with configInvalid when they cannot be used; then the old ones stay. */
  async reload(): Promise<void> {
    const tls = this.#certificates === undefined ? undefined : await this.#options.readTls?.()
    if (tls !== undefined) this.#certificates?.replace(tls)
  }

  /** Ends all connections: callers learn that the outcome of what is under way is unknown. */
  stop(): Promise<void> {
    this.#server.forceShutdown()
    return Promise.resolve()
  }

  #register(call: string, serve: (call: ServerCall) => void): void {
    const isNew = this.#server.register(pathOf(call), serve, asIs, asIs, 'bidi')
    assert(isNew, 'a call is served by one handler')
  }

  #serveMeetings(registry: PeerRegistry): void {
    const { nodeId } = registry.self
    const refuse = (call: ServerCall, error: unknown): void => {
      this.#logger.log('warn', 'refused another node', { node: nodeId, from: call.getPeer(), reason: messageOf(error) })
      this.#metrics.refused(isPlatformError(error) ? refusalReasonOf(error) : undefined)
      this.fail(call, error)
    }
    this.#register('Peer/Meet', (call) => {
      try {
        reply(call, this.#reception.meet(call))
      } catch (error) {
        refuse(call, error)
      }
    })
    this.#register('Peer/Prove', (call) => {
      this.#reception.prove(call).then(
        () => {
          this.#metrics.admitted.add(1)
          reply(call, NO_BYTES)
        },
        (error: unknown) => refuse(call, error),
      )
    })
  }

  #serveUnary(handler: UnaryHandler, call: ServerCall, { peer }: Session): void {
    let isAsked = false
    call.on('data', (request: Buffer) => {
      if (isAsked) return
      isAsked = true
      call.pause()
      handler(request, peer).then(
        (answer) => reply(call, answer),
        (error: unknown) => this.fail(call, error),
      )
    })
    call.on('end', () => isAsked || this.fail(call, new PlatformError(ERROR_CODES.invalid, 'a call has no request')))
  }

  #serveStream(handler: ServerStreamHandler, call: ServerCall, { peer }: Session): void {
    call.once('data', (request: Buffer) => {
      call.pause()
      try {
        const source = handler(
          request,
          {
            write: (message) => call.write(message),
            end: (error) => (error === undefined ? call.end() : this.fail(call, error)),
          },
          peer,
        )
        call.on('drain', () => call.cancelled || call.writableEnded || source.onDrain())
        call.on('cancelled', () => call.writableEnded || source.onCancel())
      } catch (error) {
        this.fail(call, error)
      }
    })
  }
}

function reply(call: ServerCall, answer: Buffer): void {
  call.write(answer)
  call.end()
}
