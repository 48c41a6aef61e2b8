// SPDX-License-Identifier: Apache-2.0
// What must hold between keys. Each rule names the key that the reader should change.
import { isLoopback } from '../address.ts'
import type { Config } from './schema.ts'
import { formatSize } from './size.ts'

export interface Conflict {
  readonly path: string
  readonly expected: string
}

/** `isSet` tells whether a key was given a value, instead of having its default. */
export function checkRelations(config: Config, isSet: (path: string) => boolean): readonly Conflict[] {
  return [...checkExposure(config, isSet), ...checkRoles(config), ...checkSizes(config)]
}

/** DESIGN 7: a listener that others can reach, without authentication, must have been asked for. */
function checkExposure({ mqtt }: Config, isSet: (path: string) => boolean): readonly Conflict[] {
  if (isLoopback(mqtt.bind) || mqtt.tcpPort === 0 || isSet('security.allow_anonymous')) return []
  const expected =
    'a loopback address such as "127.0.0.1", because clients need no credentials; to let anyone who reaches this address connect, set security.allow_anonymous = true'
  return [{ path: 'mqtt.bind', expected }]
}

/** Nodes of a part of the roles would have to call each other over a network. */
function checkRoles({ roles }: Config): readonly Conflict[] {
  return roles.length === 3 ? [] : [{ path: 'roles', expected: 'all three roles: this version runs them in one process' }]
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
