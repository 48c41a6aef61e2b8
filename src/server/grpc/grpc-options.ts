// SPDX-License-Identifier: Apache-2.0
// What both ends of the connections between nodes are set to.
import { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { ChannelCredentials, type ChannelOptions, experimental, ServerCredentials } from '@grpc/grpc-js'
import { messageOf, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { NodeId } from '#base/port/peer-transport'
import type { Certificates, ClusterTls } from './certificates.ts'

export interface ClusterProtection {
  /** Shared by all nodes; '' for none. */
  readonly secret: string
  readonly tls: ClusterTls | undefined
}

/** The name that the certificate of a node is for, as its common name or as an alternative one. */
export const certificateName = (node: NodeId): string => `node-${node}`

/** Throws configInvalid for what cannot be used, or is not for this node: the others would only refuse it. */
export function checkClusterTls({ cert, key, ca }: ClusterTls, node: NodeId): void {
  const invalid = (text: string, cause?: unknown): PlatformError => new PlatformError(ERROR_CODES.configInvalid, text, { cause })
  try {
    createSecureContext({ cert: cert.bytes, key: key.bytes, ca: ca.bytes })
  } catch (cause) {
    throw invalid(`cannot use cluster.tls_cert ${cert.path}, tls_key ${key.path} and tls_ca ${ca.path}: ${messageOf(cause)}`, cause)
  }
  const name = certificateName(node)
  if (new X509Certificate(cert.bytes).checkHost(name) === undefined)
    throw invalid(`cluster.tls_cert ${cert.path} is not for "${name}": issue one with that name, as node_id is ${node}`)
}

/** A peer that answers no ping is gone: within four seconds the other side knows, whatever became of its packets. */
const KEEPALIVE = { 'grpc.keepalive_time_ms': 1000, 'grpc.keepalive_timeout_ms': 3000 } as const

/** What may be under way on a stream before its reader has taken it. */
const WINDOW_BYTES = 4 * 1024 * 1024
/** Of one connection: a node has a stream for its frames, and as many calls as it makes at once. */
const STREAMS_MAX = 4096

const shared = (messageBytesMax: number): ChannelOptions => ({
  ...KEEPALIVE,
  'grpc.max_send_message_length': messageBytesMax,
  'grpc.max_receive_message_length': messageBytesMax,
  'grpc-node.flow_control_window': WINDOW_BYTES,
})

/** Channelz stays on: without it a forced shutdown leaves the connections open. Headers are bounded by what HTTP/2 in Node allows: 128 pairs in 64 KiB. */
export const serverOptions = (messageBytesMax: number): ChannelOptions => ({
  ...shared(messageBytesMax),
  'grpc.max_concurrent_streams': STREAMS_MAX,
})

/** For one connection of its own: it does not come back by itself, as whoever answers then must be met anew. */
export const channelOptions = (messageBytesMax: number, to: NodeId, { tls }: ClusterProtection): ChannelOptions => ({
  ...shared(messageBytesMax),
  'grpc.enable_channelz': 0,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.client_idle_timeout_ms': 2 ** 31 - 1,
  // What the server's certificate is checked against, in place of its address.
  ...(tls === undefined ? {} : { 'grpc.ssl_target_name_override': certificateName(to) }),
})

export const channelCredentials = ({ tls }: ClusterProtection): ChannelCredentials =>
  tls === undefined ? ChannelCredentials.createInsecure() : ChannelCredentials.createSsl(tls.ca.bytes, tls.key.bytes, tls.cert.bytes)

export const serverCredentials = (certificates: Certificates | undefined): ServerCredentials =>
  certificates === undefined
    ? ServerCredentials.createInsecure()
    : experimental.createCertificateProviderServerCredentials(certificates, certificates, true)
