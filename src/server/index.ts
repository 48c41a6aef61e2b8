// SPDX-License-Identifier: Apache-2.0
// What every role carries.
export { type AdminOptions, createAdminApp, type MetricsSource } from './admin/admin-app.ts'
export { errorResponse } from './admin/error-response.ts'
export type { ClusterTls } from './grpc/certificates.ts'
export { type ClusterGrpc, createClusterGrpc } from './grpc/cluster-grpc.ts'
export { type ClusterProtection, checkClusterTls } from './grpc/grpc-options.ts'
export type { GrpcServer, GrpcServerOptions } from './grpc/grpc-server.ts'
export type { KnownPeers } from './grpc/known-peers.ts'
export { createOperatorClient, type OperatorClient } from './grpc/operator-client.ts'
export { PeerFile } from './grpc/peer-file.ts'
export type { NodeIdentity } from './grpc/peer-registry.ts'
export { HttpServer, type HttpServerOptions } from './http-server.ts'
