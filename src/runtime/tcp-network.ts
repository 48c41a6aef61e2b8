// SPDX-License-Identifier: Apache-2.0
// Listeners on TCP.
import { createServer, type Server, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { joinAddress, listenError } from '#base/address'
import type { Logger } from '#base/port/logger'
import type { Channel, ChannelHandler, Listener, ListenOptions, Network } from '#base/port/network'
import { TcpChannel } from './tcp-channel.ts'

/** Connections that the kernel completes while the loop is busy; the system may cap it lower (somaxconn). */
const BACKLOG_COUNT = 4096
/** A failing accept fails for every connection of a flood: one line in this time says it. */
const COMPLAINT_MS_MIN = 1000

/**
 * Node tells 'drain' only when the queue had reached this many bytes, the port whenever anything had to wait. It is also the mark for reading,
 * where it changes nothing: chunks are handed on as they come.
 */
const HIGH_WATER_BYTES = 1

export class TcpNetwork implements Network {
  readonly #logger: Logger

  constructor(logger: Logger) {
    this.#logger = logger.scope('network')
  }

  listener(options: ListenOptions): Listener {
    return new TcpListener(options, this.#logger)
  }
}

class TcpListener implements Listener {
  readonly #options: ListenOptions
  readonly #logger: Logger
  readonly #server: Server
  #address: string
  #complainedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: ListenOptions, logger: Logger) {
    this.#options = options
    this.#logger = logger
    this.#server = createServer({ noDelay: true, highWaterMark: HIGH_WATER_BYTES })
    this.#address = joinAddress(options.host, options.port)
  }

  /** With port 0 the one that the system chose, once started. */
  get address(): string {
    return this.#address
  }

  start(accept: (channel: Channel) => ChannelHandler): Promise<void> {
    const { host, port } = this.#options
    const server = this.#server
    server.on('connection', (socket: Socket) => {
      TcpChannel.open(socket, accept)
    })
    return new Promise((resolve, reject) => {
      const onError = (cause: NodeJS.ErrnoException): void => reject(listenError(this.#address, cause))
      server.once('error', onError)
      server.listen({ host, port, backlog: BACKLOG_COUNT }, () => {
        server.off('error', onError)
        server.on('error', (cause: NodeJS.ErrnoException) => this.#complain(cause))
        const bound = server.address()
        if (typeof bound === 'object' && bound !== null) this.#address = joinAddress(host, bound.port)
        resolve()
      })
    })
  }

  /** The server's own 'close' would wait for the last channel; the port is free when `close` returns. */
  async stop(): Promise<void> {
    if (this.#server.listening) this.#server.close()
  }

  /** Accepting failed, most often because the process has no file descriptor left. The listener goes on. */
  #complain(cause: NodeJS.ErrnoException): void {
    const nowMs = performance.now()
    if (nowMs - this.#complainedAtMs < COMPLAINT_MS_MIN) return
    this.#complainedAtMs = nowMs
    const advice = cause.code === 'EMFILE' || cause.code === 'ENFILE' ? 'raise the limit on open files (ulimit -n)' : undefined
    this.#logger.log('warn', 'cannot accept a connection', { address: this.#address, error: cause.message, advice })
  }
}
