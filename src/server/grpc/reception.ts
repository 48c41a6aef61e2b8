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
import { type PeerRegistry, PROTOCOL_VERSION, refusal } from './peer-registry.ts'
import { isSeal, sealOfCalled, sealOfCaller } from './seal.ts'

export const HELLO_KEY = 'robustmq-hello-bin'
export const PROOF_KEY = 'robustmq-proof-bin'
export const NONCE_BYTES = 16

/** Connections that have met and not yet proved anything, and those that have. Beyond, the one that was quiet for longest is forgotten, and meets again. */
const MEETINGS_MAX = 256
const SESSIONS_MAX = 1024

interface Meeting {
  readonly hello: Hello
  readonly proof: Buffer
}

/** A connection of a peer that was taken in. */
export interface Session {
  readonly peer: RpcPeer
  readonly proof: Buffer
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
    const { clusterName, nodeId, diskId, bootEpoch } = this.#registry.self
    const own = encodeHello({
      protocol: PROTOCOL_VERSION,
      cluster: clusterName,
      node: nodeId,
      disk: diskId,
      boot: bootEpoch,
      peer: hello.node,
      nonce: this.#random.bytes(NONCE_BYTES),
    })
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
    keep(this.#sessions, address, { peer: { nodeId: hello.node, bootEpoch: hello.boot }, proof }, SESSIONS_MAX)
  }

  /** Undefined for a call that does not come from a peer that was taken in, or from one that has started again since. */
  sessionOf(call: ServerCall): Session | undefined {
    const address = call.getPeer()
    const session = this.#sessions.get(address)
    if (session === undefined || !isSeal(session.proof, callerProof(call)) || !this.isNewest(session)) return undefined
    keep(this.#sessions, address, session, SESSIONS_MAX)
    return session
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
