// SPDX-License-Identifier: Apache-2.0
// How an operator's command calls the services of nodes: with the secret or the certificate of a node's configuration, without being a node.
import type { Clock } from '#base/port/clock'
import type { Logger } from '#base/port/logger'
import type { NodeId } from '#base/port/peer-transport'
import type { Random } from '#base/port/random'
import type { RpcClient } from '#contract/client/rpc'
import { GrpcClient } from './grpc-client.ts'
import type { LinkOptions } from './grpc-link.ts'
import { GrpcPool } from './grpc-pool.ts'
import type { KnownPeers } from './known-peers.ts'
import { PeerRegistry } from './peer-registry.ts'

export interface OperatorClient {
  readonly client: RpcClient
  /** Where nodes are reached, from now on. */
  setPeers(peers: ReadonlyMap<NodeId, string>): void
  close(): void
}

export interface OperatorPorts {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** `nodeId` is that of the configuration: certificates are for it. */
export function createOperatorClient(
  ports: OperatorPorts,
  { clusterName, nodeId }: { readonly clusterName: string; readonly nodeId: NodeId },
  options: LinkOptions,
): OperatorClient {
  const self = { clusterName, nodeId, diskId: '', bootEpoch: 0, address: '', isOperator: true }
  // Nobody accuses an operator of having lost a disk, which is what a pool ends the process for.
  const pool = new GrpcPool({ ...ports, crash: () => undefined }, new PeerRegistry(self, NOTHING_REMEMBERED), options)
  return { client: new GrpcClient(pool), setPeers: (peers) => pool.setPeers(peers), close: () => pool.close() }
}

const NOTHING_REMEMBERED: KnownPeers = Object.freeze({ get: () => undefined, remember: () => Promise.resolve() })
