// SPDX-License-Identifier: Apache-2.0
// One connection of a simulated client: packets over bytes, keep-alive, and ends of every kind.
import { generate, type Packet, type Parser, parser } from 'mqtt-packet'
import { must } from '#base/assert'
import { messageOf } from '#base/error'
import type { Endpoint } from './connection.ts'
import type { SimNetwork } from './network.ts'
import type { SimRandom } from './random.ts'
import { SimFailure, type World } from './world.ts'

/** A client that hears nothing of the answer to its PINGREQ or CONNECT for so long gives the connection up. */
const ANSWER_MS_MAX = 20_000
/** What a farewell may take until it is cut off: longer than any stall. */
const FAREWELL_MS = 120_000

export interface ConnectionOptions {
  readonly client: string
  readonly port: number
  readonly version: 4 | 5
  /** 0 for none. */
  readonly keepAliveMs: number
}

export interface ConnectionOwner {
  opened(): void
  packet(packet: Packet): void
  /** The end, once. After `drop` it is not told, after `farewell` nothing else is. */
  lost(reason: string): void
}

export class ClientConnection {
  readonly #world: World
  readonly #random: SimRandom
  readonly #options: ConnectionOptions
  readonly #owner: ConnectionOwner
  readonly #parser: Parser
  #endpoint: Endpoint | undefined
  /** Nothing is sent or taken in any more. */
  #over = false
  #leaving = false
  #lastSentMs: number
  #confirmedMs: number
  /** When the oldest unanswered CONNECT or PINGREQ was sent. */
  #waitingSinceMs: number | undefined

  constructor(world: World, network: SimNetwork, random: SimRandom, options: ConnectionOptions, owner: ConnectionOwner) {
    this.#world = world
    this.#random = random
    this.#options = options
    this.#owner = owner
    this.#lastSentMs = this.#confirmedMs = world.nowMs
    this.#parser = parser({ protocolVersion: options.version })
    this.#parser.on('packet', (packet) => this.#received(packet))
    this.#parser.on('error', (error: unknown) => this.#malformed(error))
    network.connect(options.port, {
      opened: (endpoint) => this.#opened(endpoint),
      refused: () => this.#lost('refused'),
    })
  }

  /** Virtual time after which the server certainly had the connection: an answer that was read late may have been written long before. */
  get confirmedMs(): number {
    return this.#confirmedMs
  }

  send(packet: Packet): void {
    if (this.#over || this.#endpoint === undefined) return
    this.#note('>', packet)
    this.#lastSentMs = this.#world.nowMs
    this.#endpoint.write(generate(packet, { protocolVersion: this.#options.version }))
  }

  /** Stops reading for a while: a slow consumer. */
  stall(durationMs: number): void {
    const endpoint = this.#endpoint
    if (this.#over || endpoint === undefined) return
    endpoint.pause()
    this.#world.schedule('client', undefined, durationMs, () => endpoint.resume())
  }

  /** Ends without a DISCONNECT: with a reset, or silently, so that the server goes on believing in the connection. */
  drop(how: 'reset' | 'vanish'): void {
    if (this.#over) return
    this.#over = true
    if (how === 'reset') this.#endpoint?.destroy()
    else this.#endpoint?.vanish()
  }

  /** Sends the last packet and waits for the end of the connection. */
  farewell(packet: Packet): void {
    this.send(packet)
    this.#over = true
    this.#leaving = true
    this.#endpoint?.end(FAREWELL_MS)
  }

  #opened(endpoint: Endpoint) {
    this.#endpoint = endpoint
    if (this.#over) endpoint.destroy()
    else {
      this.#waitingSinceMs = this.#world.nowMs
      this.#owner.opened()
      this.#watch()
    }
    return {
      onData: (chunk: Buffer) => {
        if (!this.#over) this.#parser.parse(chunk)
      },
      onDrain: () => {},
      onClose: (error: Error | undefined) => this.#lost(error?.message ?? 'closed'),
    }
  }

  #received(packet: Packet): void {
    if (this.#over) return
    this.#note('<', packet)
    if (packet.cmd === 'connack' || packet.cmd === 'pingresp') {
      this.#confirmedMs = this.#waitingSinceMs ?? this.#confirmedMs
      this.#waitingSinceMs = undefined
    }
    if (packet.cmd !== 'pingresp') this.#owner.packet(packet)
  }

  #lost(reason: string): void {
    if (this.#over && !this.#leaving) return
    this.#over = true
    this.#leaving = false
    this.#owner.lost(reason)
  }

  /** Sends PINGREQ in time, and gives up on a server that does not answer. */
  #watch(): void {
    if (this.#over) return
    const nowMs = this.#world.nowMs
    const { keepAliveMs } = this.#options
    if (this.#waitingSinceMs !== undefined && nowMs - this.#waitingSinceMs > ANSWER_MS_MAX) {
      must(this.#endpoint, 'an open connection has an endpoint').destroy()
      this.#lost('no answer')
      return
    }
    if (keepAliveMs > 0 && nowMs - this.#lastSentMs >= keepAliveMs / 2) {
      this.#waitingSinceMs ??= nowMs
      this.send({ cmd: 'pingreq' })
    }
    const periodMs = keepAliveMs > 0 ? Math.min(keepAliveMs / 4, 2_500) : 2_500
    this.#world.schedule('client', undefined, periodMs * (0.5 + this.#random.fraction() / 2), () => this.#watch())
  }

  #malformed(error: unknown): void {
    throw new SimFailure(`server to ${this.#options.client}: malformed packet: ${messageOf(error)}`)
  }

  #note(direction: '<' | '>', packet: Packet): void {
    const { trace } = this.#world
    trace.mix(packet.cmd.length * 70_000 + (packet.messageId ?? 0))
    if (trace.recording) trace.line(`${this.#world.nowMs.toFixed(3).padStart(12)} ${this.#options.client} ${direction} ${describe(packet)}`)
  }
}

function describe(packet: Packet): string {
  const id = packet.messageId === undefined ? '' : ` ${packet.messageId}`
  switch (packet.cmd) {
    case 'publish': {
      const flags = `q${packet.qos}${packet.dup ? ' dup' : ''}${packet.retain ? ' retain' : ''}`
      return `publish${id} ${flags} ${packet.topic} ${String(packet.payload).slice(0, 24)}`
    }
    case 'connect':
      return `connect ${packet.clean ? 'clean' : 'resume'}${packet.will === undefined ? '' : ` will=${String(packet.will.payload)}`}`
    case 'connack':
      return `connack code=${packet.reasonCode ?? packet.returnCode} present=${packet.sessionPresent}`
    case 'subscribe':
      return `subscribe${id} ${packet.subscriptions.map(({ topic, qos }) => `${topic}@${qos}`).join(' ')}`
    case 'unsubscribe':
      return `unsubscribe${id} ${packet.unsubscriptions.join(' ')}`
    case 'disconnect':
      return `disconnect ${packet.reasonCode ?? 0}`
    default:
      return `${packet.cmd}${id}`
  }
}
