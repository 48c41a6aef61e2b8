// SPDX-License-Identifier: Apache-2.0
// Nodes that talk over real sockets on loopback. Each records what it is told; tests wait for what must come, never for time to pass.
import type { TestContext } from 'node:test'
import type { LogFields } from '#base/port/logger'
import type { Metrics } from '#base/port/metrics'
import type { NodeId, PeerTransport, TransportHandler } from '#base/port/peer-transport'
import type { RpcClient } from '#contract/client/rpc'
import { CryptoRandom, NodeClock } from '#runtime'
import { type ClusterProtection, type ClusterTls, createClusterGrpc, type GrpcServer, type KnownPeers } from '#server'

export class RememberedPeers implements KnownPeers {
  readonly disks = new Map<NodeId, string>()

  get(node: NodeId): string | undefined {
    return this.disks.get(node)
  }

  remember(node: NodeId, diskId: string): Promise<void> {
    this.disks.set(node, diskId)
    return Promise.resolve()
  }
}

export interface BenchOptions {
  readonly nodeId: NodeId
  readonly clusterName?: string
  readonly diskId?: string
  readonly bootEpoch?: number
  /** What it speaks, when that is not what this program speaks. */
  readonly protocol?: { readonly min: number; readonly max: number }
  /** What a reload reads. */
  readonly readTls?: () => Promise<ClusterTls | undefined>
  /** Where it says that it is reached. */
  readonly address?: string
  readonly protection?: ClusterProtection
  readonly known?: RememberedPeers
  readonly port?: number
  readonly messageBytesMax?: number
  /** Given each frame after it was recorded. */
  readonly onFrame?: (from: NodeId, frame: Buffer) => void
  readonly onSnapshot?: TransportHandler['onSnapshot']
}

export const OPEN: ClusterProtection = { secret: '', tls: undefined }

export class BenchNode {
  readonly nodeId: NodeId
  readonly transport: PeerTransport
  readonly client: RpcClient
  readonly server: GrpcServer
  readonly known: RememberedPeers
  readonly frames: { readonly from: NodeId; readonly frame: Buffer }[] = []
  readonly unreachable: NodeId[] = []
  readonly lines: { readonly message: string; readonly fields: LogFields }[] = []
  readonly crashes: Error[] = []
  /** By name and values of labels. */
  readonly counts = new Map<string, number>()
  readonly gauges = new Map<string, () => number>()
  readonly #options: BenchOptions
  #waiting: (() => void)[] = []
  #isStopped = false

  static async start(context: TestContext, options: BenchOptions): Promise<BenchNode> {
    const node = new BenchNode(options)
    await node.server.start()
    await node.transport.start({
      onFrame: (from, frame) => {
        node.frames.push({ from, frame })
        node.#wake()
        options.onFrame?.(from, frame)
      },
      onUnreachable: (peer) => {
        node.unreachable.push(peer)
        node.#wake()
      },
      onSnapshot: options.onSnapshot ?? (() => Promise.resolve()),
    })
    context.after(() => node.stop())
    return node
  }

  private constructor(options: BenchOptions) {
    const { nodeId, clusterName = 'bench', diskId = `disk-${nodeId}`, bootEpoch = 1, protection = OPEN } = options
    this.#options = options
    this.nodeId = nodeId
    this.known = options.known ?? new RememberedPeers()
    const logger = {
      log: (_level: string, message: string, fields: LogFields = {}) => {
        this.lines.push({ message, fields })
        this.#wake()
      },
      scope: () => logger,
    }
    const crash = (reason: Error): void => {
      this.crashes.push(reason)
      this.#wake()
    }
    const metrics: Metrics = {
      counter: (name, _help, labels = {}) => ({ add: (count) => this.#count(`${name} ${Object.values(labels).join()}`.trim(), count) }),
      gauge: (name, _help, read) => this.gauges.set(name, read),
      histogram: () => ({ observe: () => undefined }),
    }
    const ports = { clock: new NodeClock(), random: new CryptoRandom(), logger, crash, metrics }
    const self = { clusterName, nodeId, diskId, bootEpoch, address: options.address ?? '' }
    const { port = 0, messageBytesMax = 4 * 1024 * 1024 } = options
    const { readTls } = options
    const server = { host: '127.0.0.1', port, protection, messageBytesMax, ...(readTls && { readTls }) }
    const grpc = createClusterGrpc(ports, self, this.known, server, options.protocol)
    this.transport = grpc.transport
    this.client = grpc.client
    this.server = grpc.server
  }

  get address(): string {
    return String(this.server.addresses()[0]).replace('grpc ', '')
  }

  get port(): number {
    return Number(this.address.split(':')[1])
  }

  knows(...peers: readonly { readonly nodeId: NodeId; readonly address: string }[]): void {
    this.transport.setPeers(new Map(peers.map(({ nodeId, address }) => [nodeId, address])))
  }

  send(to: NodeId, words: string, traffic: 'control' | 'append' = 'control'): void {
    this.transport.send(to, traffic, Buffer.from(words))
  }

  words(): readonly string[] {
    return this.frames.map(({ frame }) => frame.toString())
  }

  reasons(): readonly string[] {
    return this.lines.map(({ fields }) => String(fields['reason']))
  }

  /** Resolves once it holds. It is asked whenever this node is told something. */
  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve()
    return new Promise((resolve) => {
      const check = (): void => {
        if (holds()) resolve()
        else this.#waiting.push(check)
      }
      this.#waiting.push(check)
    })
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return
    this.#isStopped = true
    this.transport.setPeers(new Map())
    await this.transport.stop()
    await this.server.stop()
  }

  /** The same place, with what is different. */
  async restart(context: TestContext, changes: Partial<BenchOptions>): Promise<BenchNode> {
    const { port } = this
    await this.stop()
    return BenchNode.start(context, { ...this.#options, port, known: this.known, ...changes })
  }

  #count(name: string, count: number): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + count)
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const check of waiting) check()
  }
}

/** Two nodes that know each other. */
export async function pair(
  context: TestContext,
  first: Partial<BenchOptions> = {},
  second: Partial<BenchOptions> = {},
): Promise<readonly [BenchNode, BenchNode]> {
  const one = await BenchNode.start(context, { nodeId: 1, ...first })
  const two = await BenchNode.start(context, { nodeId: 2, ...second })
  one.knows(two)
  two.knows(one)
  return [one, two]
}
