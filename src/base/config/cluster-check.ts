// SPDX-License-Identifier: Apache-2.0
// What must hold between the keys of a cluster.
import { isLoopback } from '../address.ts'
import { formatDuration } from './duration.ts'
import type { Conflict } from './problem.ts'
import type { Config } from './schema.ts'

/** Elections must not be caused by a beat or two that are late (R16). */
const HEARTBEATS_IN_ELECTION_TIMEOUT = 10

export const checkCluster = (config: Config): readonly Conflict[] => [
  ...checkMembers(config),
  ...checkCertificates(config.cluster),
  ...checkProtection(config),
  ...checkTiming(config.meta),
]

function checkMembers({ nodeId, metaAddrs, join }: Config): readonly Conflict[] {
  if (join) return metaAddrs.length > 0 ? [] : [{ path: 'join', expected: 'false, or meta_addrs that names nodes of the cluster to join' }]
  if (metaAddrs.length === 0 || metaAddrs.some(({ node }) => node === nodeId)) return []
  return [{ path: 'node_id', expected: 'one of those in meta_addrs, or join = true for a node that is added to the cluster later' }]
}

function checkCertificates({ tlsCert, tlsKey, tlsCa }: Config['cluster']): readonly Conflict[] {
  const files = [
    ['cluster.tls_cert', tlsCert],
    ['cluster.tls_key', tlsKey],
    ['cluster.tls_ca', tlsCa],
  ] as const
  const missing = files.filter(([, file]) => file === '')
  return missing.length === files.length
    ? []
    : missing.map(([path]) => ({ path, expected: 'a file: tls_cert, tls_key and tls_ca go together' }))
}

/** Nothing between the nodes is open to others (DESIGN 7). */
function checkProtection({ nodeIp, metaAddrs, cluster }: Config): readonly Conflict[] {
  if (metaAddrs.length === 0 || isLoopback(nodeIp) || cluster.secret !== '' || cluster.tlsCert !== '') return []
  const expected = `a secret, or tls_cert, tls_key and tls_ca: other machines can reach node_ip, which is "${nodeIp}"`
  return [{ path: 'cluster.secret', expected }]
}

function checkTiming({ heartbeatInterval, electionTimeout }: Config['meta']): readonly Conflict[] {
  const electionMin = HEARTBEATS_IN_ELECTION_TIMEOUT * heartbeatInterval
  if (electionTimeout >= electionMin) return []
  return [{ path: 'meta.election_timeout', expected: `at least ten times meta.heartbeat_interval, "${formatDuration(electionMin)}"` }]
}
