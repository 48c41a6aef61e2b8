// SPDX-License-Identifier: Apache-2.0
// One connection to one incarnation of a node. It is open once both ends have shown each other who they are, and is never opened again.
import {
  type CallOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type Metadata,
  type ServiceError,
} from '@grpc/grpc-js'
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock } from '#base/port/clock'
import type { NodeId } from '#base/port/peer-transport'
import type { Random } from '#base/port/random'
import type { RpcPeer } from '#contract/client/rpc'
import { asIs, NO_BYTES, pathOf } from './grpc-call.ts'
import { type ClusterProtection, channelCredentials, channelOptions } from './grpc-options.ts'
import { decodeHello, decodeSealed, encodeHello, type Hello } from './peer-codec.ts'
import { type PeerRegistry, refusal } from './peer-registry.ts'
import { HELLO_KEY, metadataOf, NONCE_BYTES, PROOF_KEY } from './reception.ts'
import { isSeal, sealOfCalled, sealOfCaller } from './seal.ts'
import { failureOf } from './status.ts'

/** For each of the two steps of a meeting, the first of which includes the connection itself. */
const MEETING_MS = 5000

export interface LinkPorts {
  readonly clock: Clock
  readonly random: Random
}

export interface LinkOptions {
  readonly protection: ClusterProtection
  /** Of one message, either way. */
  readonly messageBytesMax: number
}

export class GrpcLink {
  /** Who answers. */
  readonly peer: RpcPeer
  readonly #client: Client
  readonly #metadata: Metadata
  #isClosed = false

  /** Rejects with `unreachable`, or with `refusedByPeer` whichever side refuses. */
  static async open(ports: LinkPorts, registry: PeerRegistry, to: NodeId, address: string, options: LinkOptions): Promise<GrpcLink> {
    const { protection, messageBytesMax } = options
    const client = new Client(address, channelCredentials(protection), channelOptions(messageBytesMax, to, protection))
    let isMet = false
    try {
      const { called, proof } = await meet(ports, registry, client, to, address, protection)
      isMet = true
      const metadata = metadataOf(PROOF_KEY, proof)
      await unary(client, 'Peer/Prove', NO_BYTES, metadata, { deadline: deadline(ports.clock, MEETING_MS) })
      return new GrpcLink(client, metadata, { nodeId: called.node, bootEpoch: called.boot })
    } catch (error) {
      client.close()
      throw isPlatformError(error) ? error : openFailure(to, address, error as ServiceError, isMet)
    }
  }

  private constructor(client: Client, metadata: Metadata, peer: RpcPeer) {
    this.#client = client
    this.#metadata = metadata
    this.peer = peer
  }

  /** Rejects with the error of gRPC, or with `unreachable` when the link was closed meanwhile. */
  async unary(call: string, request: Buffer, deadlineAt: Date): Promise<Buffer> {
    this.#requireOpen()
    return unary(this.#client, call, request, this.#metadata, { deadline: deadlineAt })
  }

  /** Throws `unreachable` when the link was closed meanwhile. */
  serverStream(call: string, request: Buffer): ClientReadableStream<Buffer> {
    this.#requireOpen()
    return this.#client.makeServerStreamRequest(pathOf(call), asIs, asIs, request, this.#metadata)
  }

  /** As `serverStream`, with messages both ways. */
  stream(call: string): ClientDuplexStream<Buffer, Buffer> {
    this.#requireOpen()
    return this.#client.makeBidiStreamRequest(pathOf(call), asIs, asIs, this.#metadata)
  }

  /** Calls and streams that are under way go on: whoever has begun them ends them. */
  close(): void {
    this.#isClosed = true
    this.#client.close()
  }

  #requireOpen(): void {
    if (this.#isClosed) throw new PlatformError(ERROR_CODES.unreachable, `the connection to node ${this.peer.nodeId} was closed`)
  }
}

/** An instant for gRPC, which takes those of the machine's clock. */
export const deadline = (clock: Clock, durationMs: number): Date => new Date(clock.realtime() + durationMs)

interface Met {
  readonly called: Hello
  readonly proof: Buffer
}

async function meet(
  { clock, random }: LinkPorts,
  registry: PeerRegistry,
  client: Client,
  to: NodeId,
  address: string,
  { secret }: ClusterProtection,
): Promise<Met> {
  const own = encodeHello(registry.hello(to, random.bytes(NONCE_BYTES)))
  const answer = await unary(client, 'Peer/Meet', NO_BYTES, metadataOf(HELLO_KEY, own), { deadline: deadline(clock, MEETING_MS) })
  const { hello, seal } = decodeSealed(answer)
  const called = decodeHello(hello)
  const objection = registry.objection(called, address)
  if (objection !== undefined) throw objection
  if (called.node !== to)
    throw refusal('node', `${address} is node ${called.node}, not node ${to}: correct the addresses in meta_addrs, or node_id`)
  if (!isSeal(sealOfCalled(secret, own, hello), seal))
    throw refusal('secret', `node ${to} (${address}) does not have the secret of the cluster: set the same cluster.secret on all nodes`)
  await registry.admit(called)
  return { called, proof: sealOfCaller(secret, own, hello) }
}

/** Before the meeting it is not known who answers: whatever they say, it is no more than that this node was not let in. */
function openFailure(to: NodeId, address: string, cause: ServiceError, isMet: boolean): PlatformError {
  const failure = failureOf(cause)
  if (failure !== undefined) return isMet ? failure : new PlatformError(failure.code, failure.message)
  const text = `cannot reach node ${to} at ${address}: ${cause.details}`
  return new PlatformError(ERROR_CODES.unreachable, text, { detail: { node: to, address }, cause })
}

function unary(client: Client, call: string, request: Buffer, metadata: Metadata, options: CallOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(pathOf(call), asIs, asIs, request, metadata, options, (error, answer) => {
      if (error === null && answer !== undefined) resolve(answer)
      else reject(error ?? new PlatformError(ERROR_CODES.internal, `the call ${call} was answered by nothing`))
    })
  })
}
