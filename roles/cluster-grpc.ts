// SPDX-License-Identifier: Apache-2.0
// Opens what a node needs to talk to the others: its certificates, what it knows of its peers, and the gRPC parts made of them.
import { joinAddress } from '#base/address'
import type { Config } from '#base/config/schema'
import type { FileReader } from '#base/port/file-reader'
import type { PemFile } from '#base/port/network'
import { type ClusterTls, checkClusterTls, createClusterGrpc, type GrpcServerOptions, PeerFile } from '#server'
import type { ClusterParts } from './compose.ts'
import type { RealPorts } from './ports.ts'

/** Consensus sends entries of at least one record, and whatever is not larger than this in one message. */
const MESSAGE_BYTES_MIN = 16 * 1024 * 1024
/** What a message holds besides the largest record. */
const MESSAGE_BYTES_AROUND = 1024 * 1024

/** Rejects with configInvalid for certificates that cannot be used, as files are read, and as PeerFile does. Counts a start of the node: once in a process. */
export async function openClusterGrpc(ports: RealPorts, config: Config): Promise<ClusterParts> {
  const book = await PeerFile.open(ports.disk, ports.clock)
  const { clusterName, nodeId } = config
  const address = config.metaAddrs.find(({ node }) => node === nodeId)?.address ?? joinAddress(config.nodeIp, config.grpcPort)
  const self = { clusterName, nodeId, diskId: ports.identity.diskId, bootEpoch: book.bootEpoch, address }
  const { server, transport } = createClusterGrpc(ports, self, book, {
    host: config.nodeIp,
    port: config.grpcPort,
    ...(await linkOptions(ports.files, config)),
    readTls: () => readTls(ports.files, config),
  })
  return { server, transport, book }
}

/** How connections between nodes are protected and bounded. Rejects as `openClusterGrpc` does. */
export async function linkOptions(files: FileReader, config: Config): Promise<Pick<GrpcServerOptions, 'protection' | 'messageBytesMax'>> {
  return {
    protection: { secret: config.cluster.secret, tls: await readTls(files, config) },
    messageBytesMax: Math.max(MESSAGE_BYTES_MIN, config.mqtt.maxPacketSize + MESSAGE_BYTES_AROUND),
  }
}

async function readTls(files: FileReader, { nodeId, cluster }: Config): Promise<ClusterTls | undefined> {
  const { tlsCert, tlsKey, tlsCa } = cluster
  if (tlsCert === '') return undefined
  const read = async (path: string): Promise<PemFile> => ({ path, bytes: await files.read(path) })
  const tls = { cert: await read(tlsCert), key: await read(tlsKey), ca: await read(tlsCa) }
  checkClusterTls(tls, nodeId)
  return tls
}
