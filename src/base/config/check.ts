// SPDX-License-Identifier: Apache-2.0
// What must hold between keys. Each rule names the key that the reader should change.
import { checkCluster } from './cluster-check.ts'
import { checkListeners } from './listener-check.ts'
import { checkMessages } from './message-check.ts'
import type { Conflict } from './problem.ts'
import { type Config, rowPath } from './schema.ts'
import { checkSecurity } from './security-check.ts'
import { formatSize } from './size.ts'

/** `isSet` tells whether a key was given a value, instead of having its default. */
export function checkRelations(config: Config, isSet: (path: string) => boolean): readonly Conflict[] {
  return [
    ...checkListeners(config, isSet),
    ...checkRoles(config),
    ...checkCluster(config),
    ...checkSizes(config),
    ...checkTopics(config),
    ...checkSecurity(config),
    ...checkMessages(config),
  ]
}

/** Brokers and engines do not reach those of other nodes yet, so a node does all on its own, or shares metadata and does nothing else. */
function checkRoles({ roles, metaAddrs }: Config): readonly Conflict[] {
  const isShared = metaAddrs.length > 0
  if (isShared) {
    const expected = '["meta"]: this version runs brokers and engines only on nodes without meta_addrs'
    return roles.length === 1 && roles[0] === 'meta' ? [] : [{ path: 'roles', expected }]
  }
  return roles.length === 3 ? [] : [{ path: 'roles', expected: 'all three roles, or ["meta"] together with meta_addrs' }]
}

/** A buffer that cannot hold one packet of the largest size would refuse it for ever. */
function checkSizes({ mqtt, engine }: Config): readonly Conflict[] {
  const buffers = [
    ['mqtt.write_queue_bytes', mqtt.writeQueueBytes],
    ['engine.memory_bytes', engine.memoryBytes],
    ['engine.tail_bytes', engine.tailBytes],
    ['engine.wal_bytes', engine.walBytes],
  ] as const
  const expected = `at least mqtt.max_packet_size, which is "${formatSize(mqtt.maxPacketSize)}"`
  return buffers.filter(([, bytes]) => bytes < mqtt.maxPacketSize).map(([path]) => ({ path, expected }))
}

/** The first match decides, so a second table of the same filter would never have an effect. */
function checkTopics({ topic }: Config): readonly Conflict[] {
  const filters = topic.map(({ filter }) => filter)
  return filters.flatMap((filter, index) => {
    const first = filters.indexOf(filter)
    return first === index
      ? []
      : [{ path: `${rowPath('topic', index)}.filter`, expected: `a filter that ${rowPath('topic', first)} does not have already` }]
  })
}
