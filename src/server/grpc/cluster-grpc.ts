// SPDX-License-Identifier: Apache-2.0
// All that a node needs to talk to the others, put together. The server starts before what it serves, and stops after it.
import type { PeerTransport } from '#base/port/peer-transport'
import type { RpcClient } from '#contract/client/rpc'
import { GrpcClient } from './grpc-client.ts'
import { GrpcPool, type PoolPorts } from './grpc-pool.ts'
import { GrpcServer, type GrpcServerOptions } from './grpc-server.ts'
import { GrpcTransport } from './grpc-transport.ts'
import type { KnownPeers } from './known-peers.ts'
import { type NodeIdentity, PeerRegistry } from './peer-registry.ts'
import { Reception } from './reception.ts'

export interface ClusterGrpc {
  /** A component, and where services are registered. */
  readonly server: GrpcServer
  /** Also tells `client` where nodes are: both know the peers of its `setPeers`. */
  readonly transport: PeerTransport
  readonly client: RpcClient
}

export function createClusterGrpc(ports: PoolPorts, self: NodeIdentity, known: KnownPeers, options: GrpcServerOptions): ClusterGrpc {
  const logger = ports.logger.scope('grpc')
  const registry = new PeerRegistry(self, known)
  const reception = new Reception(ports.random, registry, options.protection)
  const server = new GrpcServer(logger, registry, reception, options)
  const pool = new GrpcPool({ ...ports, logger }, registry, options)
  return { server, transport: new GrpcTransport(logger, server, reception, pool), client: new GrpcClient(pool) }
}
