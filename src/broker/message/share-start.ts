// SPDX-License-Identifier: Apache-2.0
// Puts together what meta has of shared groups when a node starts. The cursors of a group are saved before those of its members, so they know of all that
// the members have in flight or have finished. What is open and with no member was with a client that is gone.
import { matches } from '#base/topic-filter'
import type { LogDescription, LogId, Position } from '#contract/client/engine-client'
import type { MetaClient, SharedMember } from '#contract/client/meta-client'
import type { ShareProgress } from '#contract/client/share-client'
import { type Cursor, type Session, type SessionKey, SHARE_TENANT } from '#contract/record/session'
import { parseShared, type SharedFilter } from './share-filter.ts'
import type { HeldRecord } from './share-group.ts'

export interface StoredMember {
  readonly uid: number
  readonly clientId: string
  readonly qos: number
  readonly cursors: readonly Cursor[]
}

export interface StoredShare {
  readonly shared: SharedFilter
  readonly record: Session | undefined
  readonly members: readonly StoredMember[]
}

const PAGE = 1_000

/** Every group that meta has a record of, or a stored subscription. */
export async function readStoredShares(meta: Pick<MetaClient, 'sessions' | 'sharedMembers'>): Promise<readonly StoredShare[]> {
  const records = await readRecords(meta)
  const members = new Map<string, StoredMember[]>()
  let after: SessionKey | undefined
  for (;;) {
    const page = await meta.sharedMembers(after, PAGE)
    for (const member of page) collect(member, members)
    after = page.at(-1)?.session
    if (after === undefined) break
  }
  return [...new Set([...records.keys(), ...members.keys()])].flatMap((name) => {
    const shared = parseShared(name)
    return shared === undefined ? [] : [{ shared, record: records.get(name), members: members.get(name) ?? [] }]
  })
}

async function readRecords(meta: Pick<MetaClient, 'sessions'>): Promise<ReadonlyMap<string, Session>> {
  const records = new Map<string, Session>()
  let after: SessionKey | undefined = { tenant: SHARE_TENANT, clientId: '' }
  while (after?.tenant === SHARE_TENANT) {
    const page: readonly Session[] = await meta.sessions(after, PAGE)
    for (const session of page) if (session.tenant === SHARE_TENANT) records.set(session.clientId, session)
    after = page.at(-1)
  }
  return records
}

function collect({ session, subscriptions, cursors }: SharedMember, members: Map<string, StoredMember[]>): void {
  for (const { filter, qos } of subscriptions) {
    const member = { uid: session.uid, clientId: session.clientId, qos, cursors }
    const others = members.get(filter)
    if (others === undefined) members.set(filter, [member])
    else others.push(member)
  }
}

/** What a member has in flight of the group that meta knows by `share`. */
export const heldOf = ({ cursors }: StoredMember, share: number): readonly HeldRecord[] =>
  cursors.flatMap(({ log, inFlight }) =>
    inFlight.filter((entry) => entry.share === share).map(({ position, qos }): HeldRecord => ({ log, position, qos })),
  )

/** How far a group had got. A log that its record does not know came after it: nothing of it has been handed out. */
export function progressOf(cursors: readonly Cursor[], filter: string, logs: readonly LogDescription[]): readonly ShareProgress[] {
  const progress = cursors.map(({ log, next, inFlight }) => ({ log, next, open: inFlight.map(({ position }) => position) }))
  // The first save of a record is of all logs; without it, there was nobody yet.
  if (progress.length === 0) return progress
  const known = new Set(progress.map(({ log }) => log))
  const later = logs.filter(
    ({ id, storage, topic }) => topic !== undefined && storage !== 'memory' && !known.has(id) && matches(filter, topic),
  )
  return [...progress, ...later.map(({ id }) => ({ log: id, next: 0, open: [] }))]
}

/** What was handed out and is with nobody who is still there. None of it was sent at QoS 2: such a message is in the session that has it. */
export function unheld(progress: readonly ShareProgress[], held: readonly HeldRecord[]): readonly HeldRecord[] {
  const positions = new Map<LogId, Set<Position>>()
  for (const { log, position } of held) positions.set(log, (positions.get(log) ?? new Set()).add(position))
  return progress.flatMap(({ log, open }) =>
    open.filter((position) => !positions.get(log)?.has(position)).map((position): HeldRecord => ({ log, position, qos: 1 })),
  )
}
