// SPDX-License-Identifier: Apache-2.0
// Finds the stored sessions that are members of shared groups, with what they have of them. A scan over all subscriptions, made once at a start.
import { must } from '#base/assert'
import type { SharedMember } from '#contract/client/meta-client'
import type { Cursor, SessionKey, Subscription } from '#contract/record/session'
import { decodeCursor } from '../codec/cursor-codec.ts'
import { placementBytes, rangeOf, subscriberOf } from '../codec/key.ts'
import { decodeSession, decodeSubscription, sessionOf } from '../codec/session-codec.ts'
import { scanRange } from '../scan.ts'
import type { GroupClient } from './group-client.ts'

interface Found {
  readonly group: GroupClient
  readonly key: SessionKey
  readonly subscriptions: Subscription[]
}

const SHARE_PREFIX = Buffer.from('$share/')

/** Up to `count` members after a session, in the order of (tenant, client id). None only at the end. */
export async function readSharedMembers(
  data: readonly GroupClient[],
  offsetGroupOf: (uid: number) => GroupClient,
  after: SessionKey | undefined,
  count: number,
): Promise<readonly SharedMember[]> {
  const pages = await Promise.all(data.map((group) => page(group, after, count)))
  const merged = pages.length === 1 ? must(pages[0], 'there is a data group') : pages.flat().sort((a, b) => order(a).compare(order(b)))
  const members = await Promise.all(merged.slice(0, count).map((found) => read(found, offsetGroupOf)))
  return members.filter((member) => member !== undefined)
}

const order = ({ key }: Found): Buffer => placementBytes(key.tenant, key.clientId)

async function page(group: GroupClient, after: SessionKey | undefined, count: number): Promise<readonly Found[]> {
  await group.barrier()
  const all: Found[] = []
  await scanRange(group.kv, group.keys.subscriptionsAfter(after), ({ key, value }) => {
    const session = subscriberOf(key, SHARE_PREFIX)
    if (session === undefined) return true
    const last = all.at(-1)
    const known = last?.key.clientId === session.clientId && last.key.tenant === session.tenant
    if (!known && all.length === count) return false
    if (known) last.subscriptions.push(decodeSubscription(value))
    else all.push({ group, key: session, subscriptions: [decodeSubscription(value)] })
    return true
  })
  return all
}

async function read({ group, key, subscriptions }: Found, offsetGroupOf: (uid: number) => GroupClient): Promise<SharedMember | undefined> {
  const record = await group.kv.get(group.keys.session(key))
  // It has ended since.
  if (record === undefined) return undefined
  const session = sessionOf(key, decodeSession(record))
  const offset = offsetGroupOf(session.uid)
  await offset.barrier()
  const cursors: Cursor[] = []
  await scanRange(offset.kv, rangeOf(offset.keys.cursors(session.uid)), ({ value }) => {
    cursors.push(decodeCursor(value))
    return true
  })
  return { session, subscriptions, cursors }
}
