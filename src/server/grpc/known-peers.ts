// SPDX-License-Identifier: Apache-2.0
// Which disk each node of the cluster has, as this node has learnt it. Kept for ever: a node that comes back with another disk has lost
// its votes and its log, and is another member (R35).
import type { NodeId } from '#base/port/peer-transport'

export interface KnownPeers {
  /** Undefined for a node that has never been met. */
  get(node: NodeId): string | undefined
  /** Takes effect at once, and resolves when it is durable. A node that is known keeps the disk that it has. */
  remember(node: NodeId, diskId: string): Promise<void>
}
