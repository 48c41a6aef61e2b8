// SPDX-License-Identifier: Apache-2.0
// A node that shares metadata with others: production's composition, on a simulated transport and simulated calls.
import { loadConfig } from '#base/config/load'
import type { Config } from '#base/config/schema'
import type { PeerTransport } from '#base/port/peer-transport'
import type { Ports } from '#base/port/ports'
import { type ClusterParts, composeNode } from '../../../../roles/compose.ts'
import type { Life } from '../../life.ts'
import { SimFailure } from '../../world.ts'
import type { HostSettings } from '../cluster-configuration.ts'
import type { Program } from '../cluster-node.ts'
import type { RpcNetwork } from './rpc-network.ts'

/** Ids of the groups of metadata, cursors and sessions, as production numbers them. */
export const META_GROUPS = [1, 0x100, 0x200] as const

export function composeMetaNode(
  life: Life,
  nodes: number,
  ports: Ports,
  transport: PeerTransport,
  settings: HostSettings,
  rpc: RpcNetwork,
): Program {
  const { segmentBytes, tickMs, timing, ...host } = settings
  const bounds: ClusterParts['bounds'] = {
    host: { ...host, windowBytesMax: host.uncommittedBytesMax * 2 },
    wal: { segmentBytes, freeBytesMin: segmentBytes },
  }
  const cluster = { server: rpc.serverFor(life), transport, bounds }
  const metrics = { contentType: 'text/plain', exposition: async () => '' }
  const config = configOf(life.node, nodes, tickMs, tickMs * timing.electionTicks)
  return { components: composeNode(ports, config, { unready: () => [], warnings: () => [], metrics }, cluster) }
}

function configOf(node: number, nodes: number, heartbeatMs: number, electionMs: number): Config {
  const addresses = Array.from({ length: nodes }, (_, at) => `${at + 1}=node-${at + 1}:1228`).join(',')
  const settings = [
    `node_id=${node}`,
    `meta_addrs={${addresses}}`,
    `meta.heartbeat_interval=${heartbeatMs}ms`,
    `meta.election_timeout=${electionMs}ms`,
    'roles=meta',
    'http_port=0',
  ]
  const outcome = loadConfig({ settings })
  if (outcome.kind === 'loaded') return outcome.config
  throw new SimFailure(`the configuration is refused: ${JSON.stringify(outcome.problems)}`)
}
