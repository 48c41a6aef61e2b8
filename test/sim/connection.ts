// SPDX-License-Identifier: Apache-2.0
// One TCP-like connection: two pipes of bytes that delay, split, join, stall, push back, reset, or fall silent.
import type { Channel, ChannelHandler } from '#base/port/network'
import { ByteQueue } from './byte-queue.ts'
import type { Life } from './life.ts'
import type { SimRandom } from './random.ts'
import type { World } from './world.ts'

export interface ConnectionConditions {
  /** Mean one-way delay. */
  readonly delayMs: number
  /** Probability that a delivery carries only a part of what has arrived. */
  readonly splitRatio: number
  /** Probability that a delivery is held up, and for how long at most. */
  readonly stallRatio: number
  readonly stallMsMax: number
  /** Bytes that the transport takes before the receiver has read them. */
  readonly windowBytes: number
}

/** How long a peer that hears nothing any more believes in a half-open connection. */
const HALF_OPEN_MS_MAX = 30_000

export class SimConnection {
  readonly life: Life
  readonly client: Endpoint
  readonly server: Endpoint
  readonly #world: World
  readonly #random: SimRandom
  readonly #forget: () => void

  constructor(world: World, random: SimRandom, conditions: ConnectionConditions, life: Life, remote: string, forget: () => void) {
    this.life = life
    this.#world = world
    this.#random = random
    this.#forget = forget
    const closed = (): void => this.#endpointClosed()
    this.client = new Endpoint(world, random, conditions, undefined, 'server', closed)
    this.server = new Endpoint(world, random, conditions, life, remote, closed)
    this.client.peer = this.server
    this.server.peer = this.client
  }

  /** The server's process is gone. The client is reset, or, when half-open, hears nothing and gives up after a while. */
  serverLost(halfOpen: boolean): void {
    this.server.vanish()
    const delayMs = halfOpen ? this.#random.fraction() * HALF_OPEN_MS_MAX : this.#random.delayMs(5)
    this.#world.schedule('network', undefined, delayMs, () => this.client.closeNow(new Error(halfOpen ? 'ETIMEDOUT' : 'ECONNRESET')))
  }

  #endpointClosed(): void {
    if (this.client.closed && this.server.closed) this.#forget()
  }
}

/** One side of a connection. Its outgoing bytes are queued here, then taken by the transport, then delivered to the peer's handler. */
export class Endpoint implements Channel {
  readonly transport = 'tcp'
  readonly remote: string
  readonly certificate = undefined
  peer!: Endpoint
  /** Undefined until the owner has accepted the connection. */
  #handler: ChannelHandler | undefined
  readonly #world: World
  readonly #random: SimRandom
  readonly #conditions: ConnectionConditions
  readonly #life: Life | undefined
  readonly #onClosed: () => void
  readonly #queued = new ByteQueue()
  readonly #transit = new ByteQueue()
  #deliveryScheduled = false
  #drainOwed = false
  #paused = false
  /** No further writes are accepted, the end follows the last byte, and what still arrives is dropped. */
  #ending = false
  /** The other side hears nothing from this one any more, not even an end. */
  #vanished = false
  #closed = false

  constructor(
    world: World,
    random: SimRandom,
    conditions: ConnectionConditions,
    life: Life | undefined,
    remote: string,
    onClosed: () => void,
  ) {
    this.#world = world
    this.#random = random
    this.#conditions = conditions
    this.#life = life
    this.remote = remote
    this.#onClosed = onClosed
  }

  get closed(): boolean {
    return this.#closed
  }

  /** From here on the owner is told what happens; what has arrived by then comes first. */
  accept(handler: ChannelHandler): void {
    this.#handler = handler
    this.peer.#scheduleDelivery()
  }

  write(bytes: Buffer): void {
    if (this.#inert() || this.#ending) return
    this.#queued.push(bytes)
    this.#take()
  }

  queuedBytes(): number {
    return this.#queued.length
  }

  pause(): void {
    if (!this.#ending) this.#paused = true
  }

  resume(): void {
    if (!this.#paused || this.#inert()) return
    this.#paused = false
    this.peer.#scheduleDelivery()
  }

  end(graceMs: number): void {
    if (this.#inert() || this.#ending) return
    this.#ending = true
    this.resume()
    this.#world.schedule('network', this.#life, graceMs, () => this.destroy())
    this.#scheduleDelivery()
  }

  /** The peer may still get what the transport had taken, then it sees a reset. */
  destroy(): void {
    if (this.#inert()) return
    this.#shut()
    if (this.#random.chance(0.5)) this.#transit.clear()
    this.#deliverAllThenReset()
    this.#world.schedule('network', this.#life, 0, () => this.#handler?.onClose(undefined))
  }

  /** This side is gone without a word: nothing is told to either side. */
  vanish(): void {
    this.#shut()
    this.#vanished = true
    this.#transit.clear()
    this.#onClosed()
  }

  /** Closes and tells the handler, at once. */
  closeNow(error: Error | undefined): void {
    if (this.#closed) return
    this.#shut()
    this.#transit.clear()
    this.#onClosed()
    if (this.#life === undefined || this.#life.alive) this.#handler?.onClose(error)
  }

  #inert(): boolean {
    return this.#closed || (this.#life !== undefined && !this.#life.alive)
  }

  #shut(): void {
    this.#closed = true
    this.#queued.clear()
  }

  /** Hands to the transport what fits its window. */
  #take(): void {
    const room = this.#conditions.windowBytes - this.#transit.length
    const length = Math.min(room, this.#queued.length)
    if (length > 0) this.#transit.push(this.#queued.take(length))
    if (this.#queued.length > 0) this.#drainOwed = true
    else if (this.#drainOwed) {
      this.#drainOwed = false
      this.#world.schedule('network', this.#life, 0, () => {
        if (!this.#closed && !this.#ending && this.#queued.length === 0) this.#handler?.onDrain()
      })
    }
    this.#scheduleDelivery()
  }

  #scheduleDelivery(): void {
    if (this.#deliveryScheduled || this.#vanished || (this.#transit.length === 0 && !this.#ending)) return
    const { delayMs, stallRatio, stallMsMax } = this.#conditions
    const stallMs = this.#random.chance(stallRatio) ? this.#random.fraction() * stallMsMax : 0
    this.#deliveryScheduled = true
    this.#world.schedule('network', this.peer.#life, this.#random.delayMs(delayMs) + stallMs, () => {
      this.#deliveryScheduled = false
      this.#deliver()
    })
  }

  /** At the receiver: a part of what is in transit arrives, or the end. */
  #deliver(): void {
    if (this.#closed || this.peer.#closed || this.peer.#paused || this.peer.#handler === undefined) return
    if (this.#transit.length > 0) {
      const chunk = this.#transit.take(this.#chunkLength())
      this.#world.trace.mixBytes(chunk)
      if (!this.peer.#ending) this.peer.#handler.onData(chunk)
      if (!this.#inert()) this.#take()
      else if (!this.#closed) this.#scheduleDelivery()
    } else if (this.#ending) {
      this.peer.closeNow(undefined)
      this.closeNow(undefined)
    }
  }

  #chunkLength(): number {
    const length = this.#transit.length
    if (!this.#random.chance(this.#conditions.splitRatio)) return length
    return this.#random.range(1, this.#random.chance(0.5) ? Math.min(length, 8) : length)
  }

  #deliverAllThenReset(): void {
    this.#world.schedule('network', this.peer.#life, this.#random.delayMs(this.#conditions.delayMs), () => {
      if (this.peer.#reads() && this.#transit.length > 0) this.peer.#handler?.onData(this.#transit.take(this.#transit.length))
      this.#transit.clear()
      this.#onClosed()
      this.peer.closeNow(new Error('ECONNRESET'))
    })
  }

  #reads(): boolean {
    return !this.#inert() && !this.#ending && !this.#paused
  }
}
