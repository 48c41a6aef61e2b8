// SPDX-License-Identifier: Apache-2.0
// Where the other nodes are, and how connections to them are made. What goes wrong with one is logged once a minute for each node; a refusal
// that says this node is not the one it claims to be ends it.
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock } from '#base/port/clock'
import type { Logger } from '#base/port/logger'
import type { NodeId } from '#base/port/peer-transport'
import type { Random } from '#base/port/random'
import { replacementOf } from '#base/replacement'
import { Backoff } from './backoff.ts'
import { GrpcLink, type LinkOptions } from './grpc-link.ts'
import type { GrpcMetrics } from './grpc-metrics.ts'
import { isDiskLost, type PeerRegistry } from './peer-registry.ts'

const COMPLAINT_INTERVAL_MS = 60_000

export interface PoolPorts {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Ends the process. */
  readonly crash: (reason: Error) => void
}

/** The connection over which calls to a node go, and when another one may be made. */
interface CallLink {
  readonly backoff: Backoff
  link: Promise<GrpcLink> | undefined
  /** The same, once it is open. */
  opened: GrpcLink | undefined
  /** No attempt before this, on the monotonic clock. */
  notBeforeMs: number
  /** Why the last attempt failed. */
  reason: string
}

export class GrpcPool {
  readonly clock: Clock
  readonly #ports: PoolPorts
  readonly #registry: PeerRegistry
  readonly #options: LinkOptions
  readonly #metrics: GrpcMetrics | undefined
  #addresses: ReadonlyMap<NodeId, string> = new Map()
  readonly #calls = new Map<NodeId, CallLink>()
  readonly #complainedAtMs = new Map<NodeId, number>()

  /** Without `metrics` nothing is counted. */
  constructor(ports: PoolPorts, registry: PeerRegistry, options: LinkOptions, metrics?: GrpcMetrics) {
    this.clock = ports.clock
    this.#ports = ports
    this.#registry = registry
    this.#options = options
    this.#metrics = metrics
  }

  get self(): NodeId {
    return this.#registry.self.nodeId
  }

  setPeers(peers: ReadonlyMap<NodeId, string>): void {
    const before = this.#addresses
    this.#addresses = new Map(peers)
    for (const [node, { link }] of this.#calls) {
      if (this.#addresses.get(node) === before.get(node)) continue
      this.#calls.delete(node)
      closeLater(link)
    }
  }

  backoff(): Backoff {
    return new Backoff(this.#ports.random)
  }

  /** A connection of one's own, to be closed by the caller. Rejects with `unreachable` or `refusedByPeer`. */
  async connect(to: NodeId): Promise<GrpcLink> {
    const address = this.#addresses.get(to)
    if (address === undefined)
      throw new PlatformError(ERROR_CODES.unreachable, `node ${to} is not known here: it is no member of the cluster`)
    try {
      const link = await GrpcLink.open(this.#ports, this.#registry, to, address, this.#options)
      this.#metrics?.connected.add(1)
      return link
    } catch (error) {
      this.#metrics?.failed.add(1)
      throw error
    }
  }

  /** The connection to a node that all calls share. Rejects as `connect` does, and at once while the node is known to be out of reach. */
  callLink(to: NodeId): Promise<GrpcLink> {
    let entry = this.#calls.get(to)
    if (entry === undefined) {
      entry = { backoff: this.backoff(), link: undefined, opened: undefined, notBeforeMs: 0, reason: '' }
      this.#calls.set(to, entry)
    }
    return entry.link ?? this.#openCallLink(to, entry)
  }

  /** The shared connection is of no more use; the next call makes another one. */
  discard(to: NodeId, link: GrpcLink): void {
    link.close()
    const entry = this.#calls.get(to)
    if (entry?.opened === link) entry.link = undefined
  }

  /** Tells the operator, unless that was done a short while ago; and ends the process where its identity is at stake. */
  complain(to: NodeId, error: PlatformError): void {
    const { clock, logger, crash } = this.#ports
    const { nodeId, diskId } = this.#registry.self
    if (isDiskLost(error, nodeId)) {
      crash(
        new PlatformError(
          ERROR_CODES.dataDamaged,
          `node ${to} knows node ${nodeId} with another disk than this one, ${diskId}: this node has lost its data, or its node_id is another's. ` +
            replacementOf(nodeId),
          { cause: error },
        ),
      )
      return
    }
    const nowMs = clock.monotonic()
    const beforeMs = this.#complainedAtMs.get(to)
    if (beforeMs !== undefined && nowMs - beforeMs < COMPLAINT_INTERVAL_MS) return
    this.#complainedAtMs.set(to, nowMs)
    logger.log('warn', 'cannot talk to another node', { node: to, address: this.#addresses.get(to), reason: error.message })
  }

  close(): void {
    this.#addresses = new Map()
    for (const { link } of this.#calls.values()) closeLater(link)
    this.#calls.clear()
  }

  async #openCallLink(to: NodeId, entry: CallLink): Promise<GrpcLink> {
    if (this.clock.monotonic() < entry.notBeforeMs)
      throw new PlatformError(ERROR_CODES.unreachable, `not tried again yet: ${entry.reason}`, { detail: { node: to } })
    entry.link = this.connect(to)
    try {
      entry.opened = await entry.link
      entry.backoff.reset()
      return entry.opened
    } catch (error) {
      entry.link = undefined
      entry.notBeforeMs = this.clock.monotonic() + entry.backoff.next()
      if (!isPlatformError(error)) throw error
      entry.reason = error.message
      this.complain(to, error)
      throw error
    }
  }
}

function closeLater(link: Promise<GrpcLink> | undefined): void {
  link?.then(
    (opened) => opened.close(),
    () => undefined,
  )
}
