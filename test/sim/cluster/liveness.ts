// SPDX-License-Identifier: Apache-2.0
// Waiting for what must happen in bounded virtual time, in whatever phase of a run of a cluster.
import { SimFailure, type World } from '../world.ts'
import type { HostSettings } from './cluster-configuration.ts'

/** In election timeouts: a healed majority must have served every client again by then. */
const SERVED_ELECTIONS_MAX = 100
const SERVED_MS_MIN = 60_000
const POLL_MS = 50

/** What must happen in bounded virtual time has not. */
export class LivenessBroken extends SimFailure {
  readonly checker = 'liveness'
}

export const electionMsOf = ({ tickMs, timing }: HostSettings): number => tickMs * timing.electionTicks

/** Runs the world until `holds`. Throws when that takes longer than it may, with what `describe` tells. */
export async function waitUntil(
  world: World,
  host: HostSettings,
  what: string,
  holds: () => boolean,
  describe: () => string,
): Promise<void> {
  const limitMs = SERVED_MS_MIN + SERVED_ELECTIONS_MAX * electionMsOf(host)
  if (!(await world.reaches(limitMs, POLL_MS, holds))) throw new LivenessBroken(`not within ${limitMs} ms: ${what}\n  ${describe()}`)
}
