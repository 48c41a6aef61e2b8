// SPDX-License-Identifier: Apache-2.0
// Who is at the other end of the connections that this node has accepted. A peer meets, then proves that it has the secret; from then on every
// call of that connection carries the proof. A connection is its address: nobody else can have it while it lasts.
import { checkServerIdentity } from 'node:tls'
import { Metadata } from '@grpc/grpc-js'
import { messageOf, type PlatformError } from '#base/error'
import type { Random } from '#base/port/random'
import type { RpcPeer } from '#contract/client/rpc'
import type { ServerCall } from './grpc-call.ts'
import { type ClusterProtection, certificateName } from './grpc-options.ts'
import { decodeHello, encodeHello, encodeSealed, type Hello } from './peer-codec.ts'
import { type PeerRegistry, refusal } from './peer-registry.ts'
import { isSeal, sealOfCalled, sealOfCaller } from './seal.ts'

export const HELLO_KEY = 'robustmq-hello-bin'
export const PROOF_KEY = 'robustmq-proof-bin'
export const NONCE_BYTES = 16

/** Connections that have met and not yet proved anything, and those that have. Beyond, the one that was quiet for longest is forgotten, and meets again. */
const MEETINGS_MAX = 256
const SESSIONS_MAX = 1024

const OPERATOR: RpcPeer = Object.freeze({ nodeId: 0, bootEpoch: 0 })

/** Whether the caller is a node of the cluster, and no command of its operator. */
export const isNode = ({ peer }: Session): boolean => peer.nodeId !== OPERATOR.nodeId

interface Meeting {
  readonly hello: Hello
  readonly proof: Buffer
}

/** A connection of a peer that was taken in. */
export interface Session {
  /** Node 0 is an operator's command. */
  readonly peer: RpcPeer
  readonly proof: Buffer
  /** Where the peer is reached, as it says; '' for nowhere. */
  readonly address: string
  readonly protocol: number
}

export class Reception {
  readonly #random: Random
  readonly #registry: PeerRegistry
  readonly #protection: ClusterProtection
  /** By the address of the other end. */
  readonly #meetings = new Map<string, Meeting>()
  readonly #sessions = new Map<string, Session>()

  constructor(random: Random, registry: PeerRegistry, protection: ClusterProtection) {
    this.#random = random
    this.#registry = registry
    this.#protection = protection
  }

  /** The answer to a peer that names itself. Throws when it is not to be dealt with. */
  meet(call: ServerCall): Buffer {
    const given = callerHello(call)
    const hello = decodeHello(given)
    const address = call.getPeer()
    const objection = this.#registry.objection(hello, address) ?? this.#certificateObjection(call, hello)
    if (objection !== undefined) throw objection
    const own = encodeHello(this.#registry.hello(hello.node, this.#random.bytes(NONCE_BYTES)))
    const { secret } = this.#protection
    keep(this.#meetings, address, { hello, proof: sealOfCaller(secret, given, own) }, MEETINGS_MAX)
    return encodeSealed({ hello: own, seal: sealOfCalled(secret, given, own) })
  }

  /** Takes in whoever proves to be the one that has met on this connection. */
  async prove(call: ServerCall): Promise<void> {
    const address = call.getPeer()
    const meeting = this.#meetings.get(address)
    this.#meetings.delete(address)
    if (meeting === undefined || !isSeal(meeting.proof, callerProof(call)))
      throw refusal('secret', `${address} does not have the secret of the cluster: set the same cluster.secret on all nodes`)
    const { hello, proof } = meeting
    await this.#registry.admit(hello)
    const peer = hello.isOperator ? OPERATOR : { nodeId: hello.node, bootEpoch: hello.boot }
    keep(this.#sessions, address, { peer, proof, address: hello.address, protocol: this.#registry.protocolWith(hello) }, SESSIONS_MAX)
  }

  /** Undefined for a call that does not come from a peer that was taken in, or from one that has started again since. */
  sessionOf(call: ServerCall): Session | undefined {
    const address = call.getPeer()
    const session = this.#sessions.get(address)
    if (session === undefined || !isSeal(session.proof, callerProof(call)) || !this.isNewest(session)) return undefined
    keep(this.#sessions, address, session, SESSIONS_MAX)
    return session
  }

  /** The lowest version spoken with a node on a connection of its present incarnation; 0 when there is none. */
  lowestProtocol(): number {
    const nodes = [...this.#sessions.values()].filter((session) => isNode(session) && this.isNewest(session))
    return nodes.length === 0 ? 0 : Math.min(...nodes.map(({ protocol }) => protocol))
  }

  isNewest({ peer }: Session): boolean {
    return this.#registry.isNewest(peer.nodeId, peer.bootEpoch)
  }

  #certificateObjection(call: ServerCall, { node }: Hello): PlatformError | undefined {
    if (this.#protection.tls === undefined) return undefined
    const certificate = call.getAuthContext().sslPeerCertificate
    const name = certificateName(node)
    const wrong = certificate === undefined ? new Error('there is none') : checkServerIdentity(name, certificate)
    return wrong === undefined
      ? undefined
      : refusal('secret', `the certificate of ${call.getPeer()} is not one for "${name}": ${messageOf(wrong)}`)
  }
}

const callerHello = (call: ServerCall): Buffer => binary(call, HELLO_KEY)

const callerProof = (call: ServerCall): Buffer => binary(call, PROOF_KEY)

function binary({ metadata }: ServerCall, key: string): Buffer {
  const value = metadata.get(key)[0]
  return value instanceof Buffer ? value : Buffer.alloc(0)
}

/** The metadata with which a caller shows one thing. */
export function metadataOf(key: string, value: Buffer): Metadata {
  const metadata = new Metadata()
  metadata.set(key, value)
  return metadata
}

/** Puts an entry last, and drops the first where there are too many. */
function keep<T>(entries: Map<string, T>, key: string, value: T, max: number): void {
  entries.delete(key)
  entries.set(key, value)
  if (entries.size <= max) return
  for (const first of entries.keys()) {
    entries.delete(first)
    return
  }
}
