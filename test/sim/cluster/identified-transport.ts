// SPDX-License-Identifier: Apache-2.0
// Nodes that look at each other's identity before they talk (R35): production's identity file, its book of known disks and its registry decide, on the
// simulated network. A hello goes before every frame, in the place of the handshake of a connection; who proves it, is left out.
import { must } from '#base/assert'
import type { Component } from '#base/component'
import { loadConfig } from '#base/config/load'
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { NodeId, PeerTransport, TrafficClass, TransportHandler } from '#base/port/peer-transport'
import type { Ports } from '#base/port/ports'
import { PeerFile } from '#server'
import { openIdentity } from '../../../roles/identity.ts'
import { decodeHello, encodeHello } from '../../../src/server/grpc/peer-codec.ts'
import { isDiskLost, PeerRegistry, type RefusalReason, refusal } from '../../../src/server/grpc/peer-registry.ts'
import { SimFailure } from '../world.ts'

/** What follows is a hello and a frame; or, as JSON, why the receiver is not talked to. */
const HELLO = 0
const REFUSAL = 1
const HEAD_BYTES = 3
const NONCE = Buffer.alloc(16)
const PLACE = { dataPath: '/data', dataDirectories: ['wal', 'snapshot'] }

export class IdentifiedTransport implements PeerTransport {
  readonly #node: NodeId
  readonly #ports: Ports
  readonly #inner: PeerTransport
  /** Hellos of peers that were taken in, as they came last. */
  readonly #admitted = new Map<NodeId, string>()
  #opened: PeerRegistry | undefined

  constructor(node: NodeId, ports: Ports, inner: PeerTransport) {
    this.#node = node
    this.#ports = ports
    this.#inner = inner
  }

  /** To be started before all else of the node. */
  get identity(): Component {
    return { name: 'identity', start: () => this.#open(), stop: async () => {} }
  }

  start(handler: TransportHandler): Promise<void> {
    return this.#inner.start({
      onFrame: (from, bytes) => {
        const { kind, head, rest } = split(bytes)
        if (kind === REFUSAL) this.#refused(JSON.parse(head.toString()) as { readonly reason: RefusalReason; readonly node: NodeId })
        else if (this.#admitted.get(from) === head.toString('latin1')) handler.onFrame(from, rest)
        // What comes meanwhile is lost, as on a connection that is being made.
        else void this.#meet(from, head)
      },
      onUnreachable: (node) => handler.onUnreachable(node),
      onSnapshot: async (from, bytes, chunks) => {
        const { head, rest } = split(bytes)
        if (!(await this.#meet(from, head))) throw new Error('its sender is not taken in')
        await handler.onSnapshot(from, rest, chunks)
      },
    })
  }

  send(to: NodeId, traffic: TrafficClass, frame: Buffer): void {
    this.#inner.send(to, traffic, this.#introduced(to, frame))
  }

  sendSnapshot(to: NodeId, header: Buffer, chunks: AsyncIterable<Buffer>): Promise<void> {
    return this.#inner.sendSnapshot(to, this.#introduced(to, header), chunks)
  }

  setPeers(peers: ReadonlyMap<NodeId, string>): void {
    this.#inner.setPeers(peers)
  }

  stop(): Promise<void> {
    return this.#inner.stop()
  }

  get #registry(): PeerRegistry {
    return must(this.#opened, 'a node knows who it is before it talks')
  }

  async #open(): Promise<void> {
    const { disk, clock, random } = this.#ports
    const loaded = loadConfig({ settings: [`node_id=${this.#node}`] })
    if (loaded.kind !== 'loaded') throw new SimFailure(`the configuration is refused: ${JSON.stringify(loaded.problems)}`)
    const { diskId } = await openIdentity(disk, random.stream('identity'), loaded.config, PLACE)
    const known = await PeerFile.open(disk, clock)
    const self = { clusterName: 'simulated', nodeId: this.#node, diskId, bootEpoch: known.bootEpoch, address: `node-${this.#node}:1` }
    this.#opened = new PeerRegistry(self, known)
  }

  /** Whether the peer is taken in; if not, it is told why. */
  async #meet(from: NodeId, head: Buffer): Promise<boolean> {
    const hello = decodeHello(head)
    try {
      const objection = this.#registry.objection(hello, `node-${from}:1`)
      if (objection !== undefined) throw objection
      await this.#registry.admit(hello)
      this.#admitted.set(from, head.toString('latin1'))
      return true
    } catch (error) {
      if (!isPlatformError(error, ERROR_CODES.refusedByPeer)) throw error
      this.#inner.send(from, 'control', joined(REFUSAL, Buffer.from(JSON.stringify(error.detail)), Buffer.alloc(0)))
      return false
    }
  }

  /** The same end as production's pool of connections makes of it. */
  #refused({ reason, node }: { readonly reason: RefusalReason; readonly node: NodeId }): void {
    const cause = refusal(reason, `node ${node} is refused by a peer: ${reason}`, node)
    if (isDiskLost(cause, this.#node)) this.#ports.crash(new PlatformError(ERROR_CODES.dataDamaged, cause.message, { cause }))
  }

  #introduced(to: NodeId, frame: Buffer): Buffer {
    return joined(HELLO, encodeHello(this.#registry.hello(to, NONCE)), frame)
  }
}

function joined(kind: number, head: Buffer, rest: Buffer): Buffer {
  const prefix = Buffer.alloc(HEAD_BYTES)
  prefix.writeUInt8(kind)
  prefix.writeUInt16BE(head.length, 1)
  return Buffer.concat([prefix, head, rest])
}

function split(bytes: Buffer): { readonly kind: number; readonly head: Buffer; readonly rest: Buffer } {
  const end = HEAD_BYTES + bytes.readUInt16BE(1)
  return { kind: bytes.readUInt8(), head: bytes.subarray(HEAD_BYTES, end), rest: bytes.subarray(end) }
}
