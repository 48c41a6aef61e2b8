// SPDX-License-Identifier: Apache-2.0
// The network between the nodes of a cluster: the PeerTransport port of each process, and what is done to the ways between them.
import type { NodeId, PeerTransport, TrafficClass, TransportHandler } from '#base/port/peer-transport'
import type { Life } from '../life.ts'
import type { SimRandom } from '../random.ts'
import type { World } from '../world.ts'
import type { PeerConditions } from './conditions.ts'
import { type LinkSurroundings, PeerLink } from './peer-link.ts'
import { SnapshotStream } from './snapshot-stream.ts'

const NODES_MAX = 64
const CLASSES: readonly TrafficClass[] = ['control', 'append']

interface Endpoint {
  readonly life: Life
  readonly handler: TransportHandler
  /** The latest incarnation of each node that was heard: earlier ones are not listened to any more (M4). */
  readonly incarnations: Map<NodeId, number>
}

export class PeerNetwork implements LinkSurroundings {
  readonly world: World
  readonly random: SimRandom
  #conditions: PeerConditions
  readonly #endpoints = new Map<NodeId, Endpoint>()
  readonly #links = new Map<number, PeerLink>()
  readonly #streams = new Set<SnapshotStream>()
  /** Ways that are cut, one direction each. */
  readonly #cut = new Set<number>()
  readonly #slow = new Map<number, number>()

  constructor(world: World, random: SimRandom, conditions: PeerConditions) {
    this.world = world
    this.random = random
    this.#conditions = conditions
  }

  forLife(life: Life): PeerTransport {
    let peers: ReadonlyMap<NodeId, string> | undefined
    let stopped = false
    return {
      start: async (handler) => {
        this.#endpoints.set(life.node, { life, handler, incarnations: new Map() })
      },
      send: (to, traffic, frame) => {
        if (!life.alive || stopped || (peers !== undefined && !peers.has(to))) return
        this.#link(life.node, to, traffic).send(life, frame)
      },
      sendSnapshot: (to, header, chunks) => life.guard(this.#sendSnapshot(life, to, header, chunks)),
      setPeers: (named) => {
        peers = named
      },
      stop: async () => {
        stopped = true
        if (this.#endpoints.get(life.node)?.life === life) this.#endpoints.delete(life.node)
      },
    }
  }

  /** The process is gone. Whether its peers hear of it at once depends on who is left to tell them: after a power loss nobody is. */
  end(life: Life, powerLost: boolean): void {
    if (this.#endpoints.get(life.node)?.life === life) this.#endpoints.delete(life.node)
    for (const [key, link] of this.#links) {
      if (fromOf(key) === life.node) link.senderEnded()
      else if (toOf(key) === life.node) link.break(powerLost ? this.#conditions.noticeMs : this.#conditions.delayMsMin)
    }
    for (const stream of this.#streams) if (stream.from === life.node || stream.to === life.node) stream.abort('its process has ended')
  }

  // What is done to the ways.

  set conditions(conditions: PeerConditions) {
    this.#conditions = conditions
  }

  cut(from: NodeId, to: NodeId): void {
    this.#cut.add(pair(from, to))
  }

  restore(from: NodeId, to: NodeId): void {
    if (!this.#cut.delete(pair(from, to))) return
    for (const traffic of CLASSES) this.#links.get(key(from, to, traffic))?.release()
  }

  /** Everything that is sent on this way is late by so much more; 0 ends it. */
  slow(from: NodeId, to: NodeId, extraMs: number): void {
    if (extraMs === 0) this.#slow.delete(pair(from, to))
    else this.#slow.set(pair(from, to), extraMs)
  }

  /** All connections of both directions break at once. */
  reset(a: NodeId, b: NodeId): void {
    for (const traffic of CLASSES) {
      this.#links.get(key(a, b, traffic))?.break(this.#conditions.delayMsMin)
      this.#links.get(key(b, a, traffic))?.break(this.#conditions.delayMsMin)
    }
    for (const stream of this.#streams) if (stream.isBetween(a, b)) stream.abort('the connection was reset')
  }

  /** Every way is as good as the conditions say. */
  heal(): void {
    for (const cut of [...this.#cut]) this.restore(Math.floor(cut / NODES_MAX), cut % NODES_MAX)
    this.#slow.clear()
  }

  // For links and streams.

  currentConditions(): PeerConditions {
    return this.#conditions
  }

  passes(from: NodeId, to: NodeId): boolean {
    return !this.#cut.has(pair(from, to))
  }

  extraDelayMs(from: NodeId, to: NodeId): number {
    return this.#slow.get(pair(from, to)) ?? 0
  }

  receiver(node: NodeId): Life | undefined {
    return this.#endpoints.get(node)?.life
  }

  hand(from: Life, to: NodeId, frame: Buffer): void {
    const endpoint = this.#endpoints.get(to)
    if (endpoint === undefined || (endpoint.incarnations.get(from.node) ?? 0) > from.incarnation) return
    endpoint.incarnations.set(from.node, from.incarnation)
    endpoint.handler.onFrame(from.node, frame)
  }

  unreachable(life: Life, peer: NodeId): void {
    const endpoint = this.#endpoints.get(life.node)
    if (endpoint?.life === life) endpoint.handler.onUnreachable(peer)
  }

  async #sendSnapshot(life: Life, to: NodeId, header: Buffer, chunks: AsyncIterable<Buffer>): Promise<void> {
    const endpoint = this.#endpoints.get(to)
    if (endpoint === undefined || !this.passes(life.node, to)) {
      await this.#later(life, this.#conditions.reconnectMs)
      throw new Error(`node ${to} cannot be reached`)
    }
    const stream = new SnapshotStream(this, life, endpoint.life, this.#conditions.snapshot)
    this.#streams.add(stream)
    try {
      await stream.carry(header, chunks, endpoint.handler)
    } finally {
      this.#streams.delete(stream)
    }
  }

  #later(life: Life, delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.world.schedule('network', life, delayMs, resolve)
    })
  }

  #link(from: NodeId, to: NodeId, traffic: TrafficClass): PeerLink {
    const at = key(from, to, traffic)
    let link = this.#links.get(at)
    if (link === undefined) {
      link = new PeerLink(from, to, traffic, this)
      this.#links.set(at, link)
    }
    return link
  }
}

const pair = (from: NodeId, to: NodeId): number => from * NODES_MAX + to
const key = (from: NodeId, to: NodeId, traffic: TrafficClass): number => pair(from, to) * CLASSES.length + CLASSES.indexOf(traffic)
const fromOf = (at: number): NodeId => Math.floor(at / (NODES_MAX * CLASSES.length))
const toOf = (at: number): NodeId => Math.floor(at / CLASSES.length) % NODES_MAX
