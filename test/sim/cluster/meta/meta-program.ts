// SPDX-License-Identifier: Apache-2.0
// A node that shares metadata with others: production's composition, on a simulated transport and simulated calls.
import { must } from '#base/assert'
import { loadConfig } from '#base/config/load'
import type { Config } from '#base/config/schema'
import type { NodeId, PeerTransport } from '#base/port/peer-transport'
import type { Ports } from '#base/port/ports'
import { type AddressBook, MetaService } from '#meta'
import { type ClusterParts, composeNode } from '../../../../roles/compose.ts'
import type { Life } from '../../life.ts'
import { SimFailure } from '../../world.ts'
import type { HostSettings } from '../cluster-configuration.ts'
import type { Program } from '../cluster-node.ts'
import type { RpcNetwork } from './rpc-network.ts'
import type { SessionWorkload } from './session-workload.ts'

/** Ids of the groups of metadata, cursors and sessions, as production numbers them. */
export const META_GROUPS = [1, 0x100, 0x200] as const

/** How a node begins: with others, or as one that is added to those later. */
export interface ClusterPlace {
  readonly founders: readonly NodeId[]
  readonly joins: boolean
}

/** What a node is given of the world. */
export interface MetaWorld {
  readonly transport: PeerTransport
  readonly book: AddressBook
  readonly rpc: RpcNetwork
  readonly sessions: SessionWorkload
}

/** Kept by the machine, whatever becomes of its processes. */
export class SimAddressBook implements AddressBook {
  addresses: ReadonlyMap<NodeId, string> = new Map()

  async rememberAddresses(addresses: ReadonlyMap<NodeId, string>): Promise<void> {
    this.addresses = addresses
  }
}

export const addressOf = (node: NodeId): string => `node-${node}:1228`

export function composeMetaNode(life: Life, place: ClusterPlace, ports: Ports, settings: HostSettings, world: MetaWorld): Program {
  const { segmentBytes, tickMs, timing, ...host } = settings
  const { transport, book, rpc, sessions } = world
  const bounds: ClusterParts['bounds'] = {
    host: { ...host, windowBytesMax: host.uncommittedBytesMax * 2 },
    wal: { segmentBytes, freeBytesMin: segmentBytes },
  }
  const cluster = { server: rpc.serverFor(life), transport, book, bounds }
  const metrics = { contentType: 'text/plain', exposition: async () => '' }
  const config = configOf(life.node, place, tickMs, tickMs * timing.electionTicks)
  const components = composeNode(ports, config, { unready: () => [], warnings: () => [], metrics }, cluster)
  const meta = must(
    components.find((component) => component instanceof MetaService),
    'a node of a cluster has the meta service',
  )
  return { components: [...components, sessions.brokerFor(life, ports.clock, meta)] }
}

function configOf(node: NodeId, { founders, joins }: ClusterPlace, heartbeatMs: number, electionMs: number): Config {
  const addresses = founders.map((founder) => `${founder}=${addressOf(founder)}`).join(',')
  const settings = [
    `node_id=${node}`,
    `meta_addrs={${addresses}}`,
    `join=${joins}`,
    `meta.heartbeat_interval=${heartbeatMs}ms`,
    `meta.election_timeout=${electionMs}ms`,
    'roles=meta',
    'http_port=0',
  ]
  const outcome = loadConfig({ settings })
  if (outcome.kind === 'loaded') return outcome.config
  throw new SimFailure(`the configuration is refused: ${JSON.stringify(outcome.problems)}`)
}
