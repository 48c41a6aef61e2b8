// SPDX-License-Identifier: Apache-2.0
// The HTTP listener of a node. It serves a fetch function and knows nothing of what that does.
import { createAdaptorServer } from '@hono/node-server'
import { joinAddress, listenError } from '#base/address'
import { assert } from '#base/assert'
import type { Component } from '#base/component'
import type { Clock } from '#base/port/clock'

/** Against peers that open connections and say little: health checks and scrapes are few and short. */
const LIMITS = { headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 5_000, maxHeaderSize: 16 * 1024 } as const
const CONNECTIONS_MAX = 256
/** What requests under way get to finish when the node stops. */
const STOP_GRACE_MS = 1000

/** A server on HTTP/1.1: the adaptor's type also covers its HTTP/2 ones. */
type HttpListener = Extract<ReturnType<typeof createAdaptorServer>, { closeAllConnections(): void }>

export interface HttpServerOptions {
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
}

export class HttpServer implements Component {
  readonly name = 'http'
  readonly #clock: Clock
  readonly #options: HttpServerOptions
  readonly #server: HttpListener
  #address: string | undefined

  constructor(clock: Clock, options: HttpServerOptions, fetch: (request: Request) => Response | Promise<Response>) {
    this.#clock = clock
    this.#options = options
    const server = createAdaptorServer({ fetch, serverOptions: LIMITS })
    assert('closeAllConnections' in server, 'without a factory of its own the adaptor makes an HTTP/1.1 server')
    server.maxConnections = CONNECTIONS_MAX
    this.#server = server
  }

  addresses(): readonly string[] {
    return this.#address === undefined ? [] : [`http ${this.#address}`]
  }

  /** Rejects with addressInUse, or configInvalid for an address that this machine does not have. */
  start(): Promise<void> {
    const { host, port } = this.#options
    const server = this.#server
    return new Promise((resolve, reject) => {
      const onError = (cause: Error): void => reject(listenError(joinAddress(host, port), cause))
      server.once('error', onError)
      server.listen(port, host, () => {
        server.off('error', onError)
        const bound = server.address()
        this.#address = joinAddress(host, typeof bound === 'object' && bound !== null ? bound.port : port)
        resolve()
      })
    })
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return
    const bound = this.#clock.after(STOP_GRACE_MS, () => this.#server.closeAllConnections())
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeIdleConnections()
    })
    bound.cancel()
  }
}
