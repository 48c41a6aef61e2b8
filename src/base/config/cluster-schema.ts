// SPDX-License-Identifier: Apache-2.0
// The keys by which nodes find, trust and watch each other.
import { boolean, duration, integer, nodeAddresses, section, text } from './key.ts'
import { HOST } from './listener-schema.ts'

const FILE_OR_NONE = { pattern: /^[^\0]*$/, expected: 'a file, absolute or relative to where the server is started; "" for none' } as const

/** At the top. */
export const CLUSTER_NODE = {
  nodeIp: text({
    default: '127.0.0.1',
    ...HOST,
    text: 'Address on which the other nodes reach this one. One that is not loopback needs cluster.secret or the certificates of [cluster].',
  }),
  grpcPort: integer({ default: 1228, min: 1, max: 65535, text: 'Port on node_ip for the other nodes; open when meta_addrs names any.' }),
  metaAddrs: nodeAddresses({
    default: {},
    text: 'The nodes that form the cluster when it is made, this one included: { 1 = "10.0.0.1:1228", 2 = "10.0.0.2:1228" }. Nodes that are added later need not be named. Empty for a node on its own.',
  }),
  join: boolean({
    default: false,
    text: 'This node is not one of those that make the cluster: it waits until it is added (robustmq ctl cluster add), and meta_addrs names itself and some that are in it.',
  }),
}

/** Section [cluster]. */
export const CLUSTER = section(
  'How nodes know each other. With certificates, what they say is encrypted as well; with the secret alone it is not. Both together may be set.',
  {
    secret: text({
      default: '',
      pattern: /^([\x21-\x7e]{16,256})?$/,
      expected: '16 to 256 characters of ASCII without blanks; "" for none',
      secret: true,
      text: 'What all nodes of the cluster know and nobody else. Better given by the environment or a file than on the command line.',
    }),
    tlsCert: text({
      default: '',
      ...FILE_OR_NONE,
      text: 'Certificate of this node, for the host name "node-ID" with its node_id, as client and as server.',
    }),
    tlsKey: text({ default: '', ...FILE_OR_NONE, text: 'Its private key, not encrypted.' }),
    tlsCa: text({ default: '', ...FILE_OR_NONE, text: "Issuers of the nodes' certificates." }),
  },
)

/** In [meta]. */
export const META_TIMING = {
  heartbeatInterval: duration({
    default: '100ms',
    min: '10ms',
    max: '10s',
    text: 'How often a leader tells its followers that it is there.',
  }),
  electionTimeout: duration({
    default: '1s',
    min: '100ms',
    max: '100s',
    text: 'Silence of the leader after which another one is elected, at the earliest; up to twice as long at the latest.',
  }),
}
