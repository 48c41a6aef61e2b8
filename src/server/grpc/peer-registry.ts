// SPDX-License-Identifier: Apache-2.0
// Whom a node accepts as its peers: of the same cluster, each on the one disk that is known for it, in its newest incarnation (R35, M4). Asked
// when a peer calls, and when one is called.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { NodeId } from '#base/port/peer-transport'
import type { KnownPeers } from './known-peers.ts'
import type { Hello } from './peer-codec.ts'

/** Of what nodes say to each other, service calls aside. Nodes of different versions do not talk. */
export const PROTOCOL_VERSION = 1

export interface NodeIdentity {
  readonly clusterName: string
  readonly nodeId: NodeId
  readonly diskId: string
  /** Larger at every start of the node. */
  readonly bootEpoch: number
}

/** Why a node is not accepted. 'disk': it lost its data, or another node has its id. */
export type RefusalReason = 'protocol' | 'cluster' | 'node' | 'disk' | 'boot' | 'secret'

/** `node` is the one that is refused, where that is known. */
export const refusal = (reason: RefusalReason, text: string, node: NodeId = 0): PlatformError =>
  new PlatformError(ERROR_CODES.refusedByPeer, text, { detail: { reason, node } })

/** Whether a node, of which we know who it is, has said that it knows this one with another disk. */
export const isDiskLost = ({ code, detail }: PlatformError, self: NodeId): boolean =>
  code === ERROR_CODES.refusedByPeer && detail['reason'] === ('disk' satisfies RefusalReason) && detail['node'] === self

export class PeerRegistry {
  readonly self: NodeIdentity
  readonly #known: KnownPeers
  readonly #boots = new Map<NodeId, number>()

  constructor(self: NodeIdentity, known: KnownPeers) {
    this.self = self
    this.#known = known
  }

  /** Whether an incarnation is the newest of its node, as far as this node has heard. */
  isNewest(node: NodeId, bootEpoch: number): boolean {
    return (this.#boots.get(node) ?? 0) <= bootEpoch
  }

  /** Why whoever names itself so cannot be dealt with; costs nothing and changes nothing. */
  objection(peer: Hello, address: string): PlatformError | undefined {
    const { clusterName, nodeId } = this.self
    const who = `node ${peer.node} (${address})`
    if (peer.protocol !== PROTOCOL_VERSION)
      return refusal(
        'protocol',
        `${who} speaks protocol ${peer.protocol}, node ${nodeId} speaks ${PROTOCOL_VERSION}: run one version on both`,
      )
    if (peer.cluster !== clusterName)
      return refusal(
        'cluster',
        `${who} is of cluster "${peer.cluster}", node ${nodeId} of "${clusterName}": correct cluster_name, or the address in meta_addrs`,
      )
    if (peer.node === nodeId) return refusal('node', `${who} has the node_id of the node that it meets: give each node its own`)
    if (peer.peer !== nodeId)
      return refusal('node', `${who} takes node ${nodeId} for node ${peer.peer}: correct the addresses in meta_addrs, or node_id`)
    return undefined
  }

  /** Takes a peer in that has proved who it is: rejects when it is not the known one, else remembers it and forgets its older incarnations. */
  async admit({ node, disk, boot }: Hello): Promise<void> {
    const known = this.#known.get(node)
    if (known !== undefined && known !== disk)
      throw refusal(
        'disk',
        `node ${node} has disk ${disk}, but is known with disk ${known}: it has lost its data, or another node uses its id. ` +
          `Remove member ${node} from the cluster, and start the machine as a new node, with a node_id that was never used and an empty data_path`,
        node,
      )
    if (!this.isNewest(node, boot)) throw refusal('boot', `node ${node} has started again since; this is a word of the process before`)
    this.#boots.set(node, boot)
    if (known === undefined) await this.#known.remember(node, disk)
  }
}
