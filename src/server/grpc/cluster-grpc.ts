// SPDX-License-Identifier: Apache-2.0
// All that a node needs to talk to the others, put together. The server starts before what it serves, and stops after it.
import type { Metrics } from '#base/port/metrics'
import type { PeerTransport } from '#base/port/peer-transport'
import type { RpcClient } from '#contract/client/rpc'
import { Certificates } from './certificates.ts'
import { GrpcClient } from './grpc-client.ts'
import { GrpcMetrics } from './grpc-metrics.ts'
import type { ClusterProtection } from './grpc-options.ts'
import { GrpcPool, type PoolPorts } from './grpc-pool.ts'
import { GrpcServer, type GrpcServerOptions } from './grpc-server.ts'
import { GrpcTransport } from './grpc-transport.ts'
import type { KnownPeers } from './known-peers.ts'
import { type NodeIdentity, PeerRegistry } from './peer-registry.ts'
import { PROTOCOL } from './protocol-version.ts'
import { Reception } from './reception.ts'

export interface ClusterGrpc {
  /** A component, and where services are registered. */
  readonly server: GrpcServer
  /** Also tells `client` where nodes are: both know the peers of its `setPeers`. */
  readonly transport: PeerTransport
  readonly client: RpcClient
}

export type ClusterGrpcPorts = PoolPorts & { readonly metrics: Metrics }

/** `protocol` is what this node speaks, for those who want to speak as another release does. */
export function createClusterGrpc(
  ports: ClusterGrpcPorts,
  self: NodeIdentity,
  known: KnownPeers,
  options: GrpcServerOptions,
  protocol = PROTOCOL,
): ClusterGrpc {
  const logger = ports.logger.scope('grpc')
  const registry = new PeerRegistry(self, known, protocol)
  const { secret, tls } = options.protection
  const certificates = tls && new Certificates(tls)
  const protection: ClusterProtection = {
    secret,
    get tls() {
      return certificates?.current
    },
  }
  const reception = new Reception(ports.random, registry, protection)
  const metrics = new GrpcMetrics(ports.metrics)
  metrics.declareProtocol(() => reception.lowestProtocol())
  const server = new GrpcServer(logger, registry, reception, metrics, certificates, options)
  const pool = new GrpcPool({ ...ports, logger }, registry, { protection, messageBytesMax: options.messageBytesMax }, metrics)
  return { server, transport: new GrpcTransport(logger, server, reception, pool, metrics), client: new GrpcClient(pool) }
}
