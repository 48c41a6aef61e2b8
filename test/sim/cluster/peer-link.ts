// SPDX-License-Identifier: Apache-2.0
// One direction of one class of traffic between two nodes: a connection that keeps the order of what it carries, and loses a suffix of it when it
// breaks (M3).
import type { NodeId, TrafficClass } from '#base/port/peer-transport'
import type { Life } from '../life.ts'
import type { SimRandom } from '../random.ts'
import type { World } from '../world.ts'
import type { PeerConditions } from './conditions.ts'

/** What a link asks the network that it belongs to. */
export interface LinkSurroundings {
  readonly world: World
  readonly random: SimRandom
  currentConditions(): PeerConditions
  /** Whether bytes get through in this direction now. */
  passes(from: NodeId, to: NodeId): boolean
  /** How much longer the way is than usual, in milliseconds. */
  extraDelayMs(from: NodeId, to: NodeId): number
  receiver(node: NodeId): Life | undefined
  /** To the process that runs at `to` now. */
  hand(from: Life, to: NodeId, frame: Buffer): void
  unreachable(life: Life, peer: NodeId): void
}

export class PeerLink {
  readonly #from: NodeId
  readonly #to: NodeId
  readonly #class: TrafficClass
  readonly #network: LinkSurroundings
  /** The process whose connection this is. */
  #sender: Life | undefined
  /** Counts connections: what was under way on an earlier one is lost. */
  #connection = 0
  #underWay: Buffer[] = []
  /** Stopped on a way that is cut; they go on when it is not, unless the connection is given up first. */
  #held: Buffer[] = []
  #lastUs = 0
  #brokenUntilUs = 0
  #noticePending = false

  constructor(from: NodeId, to: NodeId, traffic: TrafficClass, network: LinkSurroundings) {
    this.#from = from
    this.#to = to
    this.#class = traffic
    this.#network = network
  }

  send(sender: Life, frame: Buffer): void {
    const { world, random } = this.#network
    const conditions = this.#network.currentConditions()
    if (this.#sender !== sender) this.#connect(sender)
    const broken = world.nowUs < this.#brokenUntilUs || this.#network.receiver(this.#to) === undefined
    if (broken || this.#underWay.length + this.#held.length >= conditions.framesMax) this.#notice(conditions.reconnectMs)
    else if (random.chance(conditions.resetRatio[this.#class])) this.break(random.fraction() * conditions.reconnectMs)
    else if (this.#held.length > 0 || !this.#network.passes(this.#from, this.#to)) this.#hold(frame)
    else this.#carry(frame)
  }

  /** The connection is gone with all that is under way; its sender hears of it after `noticeMs`, and has another one some time later. */
  break(noticeMs: number): void {
    const { world } = this.#network
    this.#drop()
    const brokenMs = noticeMs + this.#network.currentConditions().reconnectMs
    this.#brokenUntilUs = Math.max(this.#brokenUntilUs, world.nowUs + Math.ceil(brokenMs * 1000))
    this.#notice(noticeMs)
  }

  /** The way is free again: what was held goes on. */
  release(): void {
    const held = this.#held
    this.#held = []
    for (const frame of held) this.#carry(frame)
  }

  /** The sending process has ended. What the system had taken from it may still arrive. */
  senderEnded(): void {
    this.#held = []
    if (this.#network.random.chance(0.5)) this.#drop()
  }

  #connect(sender: Life): void {
    this.#drop()
    this.#sender = sender
    this.#brokenUntilUs = 0
    this.#noticePending = false
  }

  #drop(): void {
    this.#connection++
    this.#underWay = []
    this.#held = []
  }

  #carry(frame: Buffer): void {
    const { world, random } = this.#network
    const { delayMsMin, delayMsMean, tailRatio, tailMs } = this.#network.currentConditions()
    const late = random.chance(tailRatio) ? random.fraction() * tailMs : 0
    const delayMs = delayMsMin + random.delayMs(delayMsMean) + late + this.#network.extraDelayMs(this.#from, this.#to)
    const atUs = Math.max(world.nowUs + Math.ceil(delayMs * 1000), this.#lastUs + 1)
    this.#lastUs = atUs
    this.#underWay.push(frame)
    const connection = this.#connection
    const sender = this.#sender as Life
    // A process that stands still takes its input later: the event waits with it, and takes the oldest frame.
    world.schedule('network', this.#network.receiver(this.#to), (atUs - world.nowUs) / 1000, () => {
      if (connection === this.#connection) this.#arrive(sender)
    })
  }

  #arrive(sender: Life): void {
    const { world, random } = this.#network
    const frame = this.#underWay.shift()
    if (frame === undefined) return
    if (!this.#network.passes(this.#from, this.#to)) {
      this.#hold(frame)
      return
    }
    world.trace.mixBytes(frame)
    const { repeatRatio, repeatMs } = this.#network.currentConditions()
    if (random.chance(repeatRatio)) {
      world.schedule('network', this.#network.receiver(this.#to), random.fraction() * repeatMs, () => this.#again(sender, frame))
    }
    this.#network.hand(sender, this.#to, frame)
  }

  #again(sender: Life, frame: Buffer): void {
    this.#network.world.trace.mixBytes(frame)
    if (this.#network.passes(this.#from, this.#to)) this.#network.hand(sender, this.#to, frame)
  }

  #hold(frame: Buffer): void {
    this.#held.push(frame)
    if (this.#held.length > 1) return
    const { world } = this.#network
    const connection = this.#connection
    world.schedule('network', undefined, this.#network.currentConditions().noticeMs, () => {
      if (connection === this.#connection && this.#held.length > 0 && !this.#network.passes(this.#from, this.#to)) this.break(0)
    })
  }

  /** Once for all frames that were lost until then. */
  #notice(delayMs: number): void {
    const sender = this.#sender
    if (sender === undefined || this.#noticePending) return
    this.#noticePending = true
    this.#network.world.schedule('network', sender, delayMs, () => {
      this.#noticePending = false
      this.#network.unreachable(sender, this.#to)
    })
  }
}
