// SPDX-License-Identifier: Apache-2.0
// The transport of consensus over gRPC: a connection for each peer and class of traffic, and one for each snapshot (M3). It is the port's
// implementation; what carries the bytes is in frame-sender.ts and snapshot-stream.ts.
import { Metadata } from '@grpc/grpc-js'
import { assert } from '#base/assert'
import { isPlatformError, messageOf, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Logger } from '#base/port/logger'
import type { NodeId, PeerTransport, TrafficClass, TransportHandler } from '#base/port/peer-transport'
import { FrameSender } from './frame-sender.ts'
import type { ServerCall } from './grpc-call.ts'
import type { GrpcMetrics } from './grpc-metrics.ts'
import type { GrpcPool } from './grpc-pool.ts'
import type { GrpcServer } from './grpc-server.ts'
import { Guests } from './guests.ts'
import { decodeFrames } from './peer-codec.ts'
import type { Reception, Session } from './reception.ts'
import { receiveSnapshot, sendSnapshot } from './snapshot-stream.ts'

/** What waits for one peer. A vote that is late is of no use; entries are read again from the log when they were dropped. */
const QUEUE_BYTES_MAX: Readonly<Record<TrafficClass, number>> = { control: 4 * 1024 * 1024, append: 16 * 1024 * 1024 }
/** At once, in each direction (M9). */
const SNAPSHOTS_MAX = 2

interface Peer {
  readonly address: string
  readonly senders: Readonly<Record<TrafficClass, FrameSender>>
}

export class GrpcTransport implements PeerTransport {
  readonly #logger: Logger
  readonly #server: GrpcServer
  readonly #reception: Reception
  readonly #pool: GrpcPool
  readonly #metrics: GrpcMetrics
  readonly #peers = new Map<NodeId, Peer>()
  /** As they were set. */
  #addresses: ReadonlyMap<NodeId, string> = new Map()
  readonly #guests = new Guests(() => this.#reach())
  #handler: TransportHandler | undefined
  readonly #snapshots = { in: 0, out: 0 }

  constructor(logger: Logger, server: GrpcServer, reception: Reception, pool: GrpcPool, metrics: GrpcMetrics) {
    this.#logger = logger
    this.#server = server
    this.#reception = reception
    this.#pool = pool
    this.#metrics = metrics
    server.handleOfNodes('Peer/Frames', (call, session) => this.#receiveFrames(call, session))
    server.handleOfNodes('Peer/Snapshot', (call, session) => void this.#receiveSnapshot(call, session))
  }

  start(handler: TransportHandler): Promise<void> {
    assert(this.#handler === undefined, 'a transport is started once')
    this.#handler = handler
    this.#reach()
    return Promise.resolve()
  }

  send(to: NodeId, traffic: TrafficClass, frame: Buffer): void {
    const peer = this.#peers.get(to)
    if (peer === undefined) this.#handler?.onUnreachable(to)
    else peer.senders[traffic].send(frame)
  }

  async sendSnapshot(to: NodeId, header: Buffer, chunks: AsyncIterable<Buffer>): Promise<void> {
    if (this.#snapshots.out >= SNAPSHOTS_MAX) throw tooManySnapshots('sends')
    this.#snapshots.out++
    try {
      const link = await this.#pool.connect(to)
      try {
        await sendSnapshot(link.stream('Peer/Snapshot'), to, header, chunks)
      } finally {
        link.close()
      }
    } finally {
      this.#snapshots.out--
    }
  }

  setPeers(peers: ReadonlyMap<NodeId, string>): void {
    this.#addresses = new Map(peers)
    this.#reach()
  }

  stop(): Promise<void> {
    this.#handler = undefined
    for (const peer of this.#peers.values()) disconnect(peer)
    this.#peers.clear()
    return Promise.resolve()
  }

  /** An address that was set counts more than what a guest says. */
  #reach(): void {
    const addresses = new Map([...this.#guests.addresses, ...this.#addresses])
    this.#pool.setPeers(addresses)
    if (this.#handler !== undefined) this.#connect(addresses)
  }

  /** Makes the senders those of the known addresses. */
  #connect(addresses: ReadonlyMap<NodeId, string>): void {
    for (const [node, peer] of this.#peers) {
      if (addresses.get(node) === peer.address) continue
      disconnect(peer)
      this.#peers.delete(node)
    }
    for (const [node, address] of addresses) {
      if (node === this.#pool.self || this.#peers.has(node)) continue
      this.#peers.set(node, {
        address,
        senders: { control: this.#createSender(node, 'control'), append: this.#createSender(node, 'append') },
      })
    }
  }

  #createSender(node: NodeId, traffic: TrafficClass): FrameSender {
    return new FrameSender(this.#pool.clock, this.#pool.backoff(), {
      queueBytesMax: QUEUE_BYTES_MAX[traffic],
      connect: () => this.#pool.connect(node),
      onLoss: () => this.#handler?.onUnreachable(node),
      onFailure: (error) => this.#pool.complain(node, error),
    })
  }

  #receiveFrames(call: ServerCall, session: Session): void {
    if (this.#handler === undefined) {
      this.#server.fail(call, notReady())
      return
    }
    this.#hear(call, session)
    // Tells the sender that its frames are wanted.
    call.sendMetadata(new Metadata())
    call.on('data', (message: Buffer) => {
      if (call.writableEnded) return
      try {
        this.#deliver(message, session)
      } catch (error) {
        // The peer, not this node, has done wrong: its stream is over. Anything else is a bug.
        if (!isPlatformError(error)) throw error
        this.#logger.log('warn', 'closed a stream of another node', { node: session.peer.nodeId, reason: messageOf(error) })
        this.#server.fail(call, error)
      }
    })
    call.on('end', () => call.end())
  }

  #hear(call: ServerCall, { peer, address }: Session): void {
    const leave = address === '' ? undefined : this.#guests.enter(peer.nodeId, address)
    this.#metrics.streams++
    let isOver = false
    const end = (): void => {
      if (isOver) return
      isOver = true
      this.#metrics.streams--
      leave?.()
    }
    for (const event of ['end', 'cancelled', 'error', 'close']) call.once(event, end)
  }

  #deliver(message: Buffer, session: Session): void {
    const { nodeId } = session.peer
    if (!this.#reception.isNewest(session)) throw new PlatformError(ERROR_CODES.fenced, `node ${nodeId} has started again since`)
    if (this.#handler === undefined) throw notReady()
    for (const frame of decodeFrames(message)) this.#handler?.onFrame(nodeId, frame)
  }

  async #receiveSnapshot(call: ServerCall, session: Session): Promise<void> {
    const { nodeId } = session.peer
    const { in: under } = this.#snapshots
    this.#snapshots.in++
    try {
      if (under >= SNAPSHOTS_MAX) throw tooManySnapshots('takes')
      call.sendMetadata(new Metadata())
      const { header, chunks } = await receiveSnapshot(call)
      if (this.#handler === undefined) throw notReady()
      await this.#handler.onSnapshot(nodeId, header, chunks)
      call.end()
    } catch (error) {
      this.#logger.log('warn', 'did not take a snapshot', { node: nodeId, reason: messageOf(error) })
      this.#server.fail(call, error)
    } finally {
      this.#snapshots.in--
    }
  }
}

function disconnect({ senders }: Peer): void {
  senders.control.close()
  senders.append.close()
}

const notReady = (): PlatformError => new PlatformError(ERROR_CODES.notReady, 'the node is starting or stopping')

const tooManySnapshots = (does: string): PlatformError =>
  new PlatformError(ERROR_CODES.quotaExceeded, `a node ${does} at most ${SNAPSHOTS_MAX} snapshots at once`)
