// SPDX-License-Identifier: Apache-2.0
// What a node makes of the shared groups that an earlier life of it left.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SharedMember } from '#contract/client/meta-client'
import { type Cursor, type InFlight, type Session, type SessionKey, SHARE_TENANT } from '#contract/record/session'
import { heldOf, progressOf, readStoredShares, unheld } from '../../../../src/broker/message/share-start.ts'

const entry = (position: number, share?: number, qos: 1 | 2 = 1): InFlight => ({
  position,
  packetId: position + 1,
  order: 0,
  qos,
  released: false,
  ...(share === undefined ? {} : { share }),
})
const cursor = (log: number, next: number, ...inFlight: readonly InFlight[]): Cursor => ({ log, next, seen: next, inFlight })
const session = (tenant: string, clientId: string, uid: number): Session => ({
  tenant,
  clientId,
  uid,
  epoch: 1,
  owner: undefined,
  expirySeconds: 60,
  disconnectedAtMs: 0,
  will: undefined,
})
const subscription = (filter: string, qos: number) => ({ filter, qos, noLocal: false, retainAsPublished: false, identifier: 0, since: [] })

test('groups are those with a record and those with a member, read page by page', async () => {
  const records = [session(SHARE_TENANT, '$share/a/t', 10), session(SHARE_TENANT, '$share/b/t', 11), session('default', 'client', 1)]
  const members: readonly SharedMember[] = [
    { session: session('default', 'm1', 1), subscriptions: [subscription('$share/a/t', 1)], cursors: [] },
    { session: session('default', 'm2', 2), subscriptions: [subscription('$share/a/t', 2), subscription('$share/c/t', 0)], cursors: [] },
  ]
  /** One at a time. */
  const pageAfter = <T>(all: readonly T[], keyOf: (item: T) => SessionKey, after: SessionKey | undefined): readonly T[] => {
    const text = ({ tenant, clientId }: SessionKey): string => `${tenant}\0${clientId}`
    return all.filter((item) => after === undefined || text(keyOf(item)) > text(after)).slice(0, 1)
  }
  const stored = await readStoredShares({
    sessions: async (after) => pageAfter(records, (record) => record, after),
    sharedMembers: async (after) => pageAfter(members, (member) => member.session, after),
  })
  assert.deepEqual(
    stored.map(({ shared, record, members: of }) => [shared.name, record?.uid, of.map(({ clientId, qos }) => [clientId, qos])]),
    [
      [
        '$share/a/t',
        10,
        [
          ['m1', 1],
          ['m2', 2],
        ],
      ],
      ['$share/b/t', 11, []],
      ['$share/c/t', undefined, [['m2', 0]]],
    ],
  )
})

test('a member holds what it has in flight of that group, in every log', () => {
  const member = {
    uid: 1,
    clientId: 'm',
    qos: 2,
    cursors: [cursor(0, 9, entry(3, 10), entry(4), entry(5, 11)), cursor(2, 4, entry(1, 10, 2))],
  }
  assert.deepEqual(heldOf(member, 10), [
    { log: 0, position: 3, qos: 1 },
    { log: 2, position: 1, qos: 2 },
  ])
})

test('Q17 what was handed out and no member has in flight is with nobody', () => {
  const held = [
    { log: 0, position: 2, qos: 1 as const },
    { log: 0, position: 7, qos: 2 as const },
    { log: 1, position: 4, qos: 2 as const },
  ]
  const progress = progressOf([cursor(0, 10, entry(4), entry(7))], 't', [])
  assert.deepEqual(progress, [{ log: 0, next: 10, open: [4, 7] }])
  assert.deepEqual(unheld(progress, held), [{ log: 0, position: 4, qos: 1 }])
})

test('a log that the record of a group does not know came after it: it is read from its beginning', () => {
  const logs = [
    { id: 0, storage: 'rocksdb', model: 'shared' },
    { id: 4, storage: 'rocksdb', model: 'independent', topic: 'a/known' },
    { id: 5, storage: 'segment', model: 'independent', topic: 'a/later' },
    { id: 6, storage: 'rocksdb', model: 'independent', topic: 'b/other' },
    { id: 7, storage: 'memory', model: 'independent', topic: 'a/fleeting' },
  ] as const
  const progress = progressOf([cursor(0, 10), cursor(4, 3)], 'a/+', logs)
  assert.deepEqual(progress, [
    { log: 0, next: 10, open: [] },
    { log: 4, next: 3, open: [] },
    { log: 5, next: 0, open: [] },
  ])
  assert.deepEqual(progressOf([], 'a/+', logs), [], 'a record that was never saved had no member yet')
})
