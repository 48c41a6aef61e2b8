// SPDX-License-Identifier: Apache-2.0
// What a SUBSCRIBE says about history: the user property 'replay-from' (D8).
import { parseReplayFrom, REPLAY_FROM, type ReplayStart } from '../../message/replay.ts'
import type { SubscribePacket } from '../../protocol/mqtt/index.ts'

export type ReplayRequest =
  | { readonly kind: 'read' /** Undefined when no history is asked for. */; readonly start: ReplayStart | undefined }
  | { readonly kind: 'malformed'; readonly reason: string }

/** It counts for all filters of the packet. */
export function readReplay({ userProperties }: SubscribePacket): ReplayRequest {
  const values = userProperties.flatMap(([name, value]) => (name === REPLAY_FROM ? [value] : []))
  const [value] = values
  if (value === undefined) return { kind: 'read', start: undefined }
  if (values.length > 1) return { kind: 'malformed', reason: `${REPLAY_FROM} is given more than once` }
  const start = parseReplayFrom(value)
  return start === undefined ? { kind: 'malformed', reason: EXPECTED } : { kind: 'read', start }
}

const EXPECTED = `${REPLAY_FROM} must be earliest, latest, an offset or an RFC 3339 time`
