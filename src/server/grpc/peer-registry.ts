// SPDX-License-Identifier: Apache-2.0
// Whom a node accepts as its peers: of the same cluster, each on the one disk that is known for it, in its newest incarnation (R35, M4). Asked
// when a peer calls, and when one is called.
import { must } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { NodeId } from '#base/port/peer-transport'
import { replacementOf } from '#base/replacement'
import type { KnownPeers } from './known-peers.ts'
import type { Hello } from './peer-codec.ts'
import { highestCommon, PROTOCOL, type ProtocolRange } from './protocol-version.ts'

export interface NodeIdentity {
  readonly clusterName: string
  readonly nodeId: NodeId
  readonly diskId: string
  /** Larger at every start of the node. */
  readonly bootEpoch: number
  /** Where the others reach it, 'host:port'. */
  readonly address: string
  /** It is an operator's command, with the configuration of that node. */
  readonly isOperator?: boolean
}

/** Why a node is not accepted. 'disk': it lost its data, or another node has its id. */
export type RefusalReason = (typeof REFUSAL_REASONS)[number]
export const REFUSAL_REASONS = ['protocol', 'cluster', 'node', 'disk', 'boot', 'secret'] as const

/** `node` is the one that is refused, where that is known. */
export const refusal = (reason: RefusalReason, text: string, node: NodeId = 0): PlatformError =>
  new PlatformError(ERROR_CODES.refusedByPeer, text, { detail: { reason, node } })

/** Whether a node, of which we know who it is, has said that it knows this one with another disk. */
export const isDiskLost = (error: PlatformError, self: NodeId): boolean =>
  refusalReasonOf(error) === 'disk' && error.detail['node'] === self

/** Undefined for any other failure. */
export const refusalReasonOf = ({ code, detail }: PlatformError): RefusalReason | undefined =>
  code === ERROR_CODES.refusedByPeer ? REFUSAL_REASONS.find((reason) => reason === detail['reason']) : undefined

export class PeerRegistry {
  readonly self: NodeIdentity
  readonly #known: KnownPeers
  readonly #protocol: ProtocolRange
  readonly #boots = new Map<NodeId, number>()

  constructor(self: NodeIdentity, known: KnownPeers, protocol: ProtocolRange = PROTOCOL) {
    this.self = self
    this.#known = known
    this.#protocol = protocol
  }

  /** What this node says of itself to `peer`. */
  hello(peer: NodeId, nonce: Buffer): Hello {
    const { clusterName, nodeId, diskId, bootEpoch, address, isOperator = false } = this.self
    const protocol = this.#protocol
    return { protocol, cluster: clusterName, node: nodeId, disk: diskId, boot: bootEpoch, peer, nonce, isOperator, address }
  }

  /** Whether an incarnation is the newest of its node, as far as this node has heard. */
  isNewest(node: NodeId, bootEpoch: number): boolean {
    return (this.#boots.get(node) ?? 0) <= bootEpoch
  }

  /** Why whoever names itself so cannot be dealt with; costs nothing and changes nothing. */
  objection(peer: Hello, address: string): PlatformError | undefined {
    const { clusterName, nodeId, isOperator = false } = this.self
    const who = peer.isOperator ? `an operator's command (${address})` : `node ${peer.node} (${address})`
    if (highestCommon(peer.protocol, this.#protocol) === undefined)
      return refusal(
        'protocol',
        `${who} speaks protocol ${inWords(peer.protocol)}, node ${nodeId} speaks ${inWords(this.#protocol)}: ` +
          'upgrade the older one, by way of a release that speaks both',
      )
    if (peer.cluster !== clusterName)
      return refusal(
        'cluster',
        `${who} is of cluster "${peer.cluster}", node ${nodeId} of "${clusterName}": correct cluster_name, or the address in meta_addrs`,
      )
    if (peer.node === nodeId && !peer.isOperator && !isOperator)
      return refusal('node', `${who} has the node_id of the node that it meets: give each node its own`)
    if (peer.peer !== nodeId)
      return refusal('node', `${who} takes node ${nodeId} for node ${peer.peer}: correct the addresses in meta_addrs, or node_id`)
    return undefined
  }

  /** The version that is spoken with a peer that there is no objection to. */
  protocolWith(peer: Hello): number {
    return must(highestCommon(peer.protocol, this.#protocol), 'who shares no protocol was refused')
  }

  /**
   * Takes a peer in that has proved who it is: rejects when it is not the known one, else remembers it and forgets its older incarnations. An operator
   * has no disk and no incarnation: the proof is all there is to it.
   */
  async admit({ node, disk, boot, isOperator }: Hello): Promise<void> {
    if (isOperator) return
    const known = this.#known.get(node)
    if (known !== undefined && known !== disk)
      throw refusal(
        'disk',
        `node ${node} has disk ${disk}, but is known with disk ${known}: it has lost its data, or another node uses its id. ${replacementOf(node)}`,
        node,
      )
    if (!this.isNewest(node, boot)) throw refusal('boot', `node ${node} has started again since; this is a word of the process before`)
    this.#boots.set(node, boot)
    if (known === undefined) await this.#known.remember(node, disk)
  }
}

const inWords = ({ min, max }: ProtocolRange): string => (min === max ? String(min) : `${min} to ${max}`)
