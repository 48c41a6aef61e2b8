// SPDX-License-Identifier: Apache-2.0
// What a change of users or rules means for those who are connected (Q22). Whoever loses something is disconnected: that stops delivery at once, and
// tells the client. When it connects again, it takes up its session without what it may no longer have.
import type { Clock } from '#base/port/clock'
import { REASON } from '../../protocol/mqtt/index.ts'
import type { SessionCore } from './session-core.ts'

/** A connection, as far as it is reviewed. */
export interface Reviewed {
  review(): void
}

/** Sessions looked at in one turn of the loop. */
const BATCH = 256

/** Ends the connection of a session that is not what users and rules of now allow. */
export function reviewSession(session: SessionCore): void {
  const { context, access, subscriptions, shared, replays } = session
  const { security } = context
  const standing = security.review(access)
  if (standing === 'changed') {
    // The password was changed, perhaps because somebody else knows it.
    security.metrics.denied.session.add(1)
    session.link.refuse(REASON.administrativeAction)
    return
  }
  const all = [...subscriptions.values(), ...shared.subscriptions(), ...replays.subscriptions()]
  if (standing === 'good' && all.every(({ filter, qos }) => access.maySubscribe(filter, qos))) return
  security.metrics.denied.session.add(1)
  session.link.refuse(REASON.notAuthorized)
}

/** Reviews all, some in each turn: a change of the rules must not stand in the way of those who are not concerned. */
export async function reviewAll(clock: Clock, connections: ReadonlySet<Reviewed>): Promise<void> {
  let left = BATCH
  for (const connection of [...connections]) {
    connection.review()
    if (--left > 0) continue
    left = BATCH
    await new Promise<void>((resolve) => clock.after(0, resolve))
  }
}
