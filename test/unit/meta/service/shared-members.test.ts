// SPDX-License-Identifier: Apache-2.0
// Which sessions a start finds to be members of shared groups.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SharedMember } from '#contract/client/meta-client'
import { SHARE_TENANT } from '#contract/record/session'
import { createMetaNode, cursor, opening, subscription } from '../meta-node.ts'

test('sessions with a shared subscription are found, in pages, with those subscriptions and their cursors', async () => {
  const { service } = await createMetaNode({ dataGroups: 3, offsetGroups: 2 })
  for (let at = 0; at < 25; at++) {
    const { session } = await service.openSession(opening(`c${String(at).padStart(2, '0')}`))
    const filters = at % 3 === 0 ? ['$share/g/t', 'own/t', '$share/h/#'] : ['own/t', '$shared/g/t']
    await service.subscribe(session, session.epoch, filters.map(subscription))
    await service.saveCursors([{ uid: session.uid, epoch: session.epoch, cursors: [cursor(1, at)] }])
  }
  const found: SharedMember[] = []
  for (let page = await service.sharedMembers(undefined, 4); page.length > 0; page = await service.sharedMembers(page.at(-1)?.session, 4)) {
    assert.ok(page.length <= 4)
    found.push(...page)
  }
  assert.deepEqual(
    found.map(({ session }) => session.clientId),
    ['c00', 'c03', 'c06', 'c09', 'c12', 'c15', 'c18', 'c21', 'c24'],
  )
  for (const { session, subscriptions, cursors } of found) {
    assert.deepEqual(
      subscriptions.map(({ filter }) => filter),
      ['$share/g/t', '$share/h/#'],
    )
    assert.deepEqual(cursors, [cursor(1, Number(session.clientId.slice(1)))])
  }
})

test('a session that has ended is not a member any more', async () => {
  const { service } = await createMetaNode()
  const { session } = await service.openSession(opening('gone'))
  await service.subscribe(session, session.epoch, [subscription('$share/g/t')])
  await service.endSession(session, session.uid, session.epoch)
  assert.deepEqual(await service.sharedMembers(undefined, 10), [])
})

test('a group is kept like a session, apart from those of clients', async () => {
  const { service } = await createMetaNode()
  const opened = await service.openSession({ ...opening('$share/g/t'), tenant: SHARE_TENANT })
  const inFlight = [{ position: 3, packetId: 0, order: 0, qos: 1 as const, released: false }]
  await service.saveCursors([{ uid: opened.session.uid, epoch: opened.session.epoch, cursors: [{ log: 0, next: 9, seen: 9, inFlight }] }])
  assert.equal((await service.openSession(opening('$share/g/t'))).present, false)
  const again = await service.openSession({ ...opening('$share/g/t'), tenant: SHARE_TENANT })
  assert.deepEqual([again.present, again.session.uid, again.cursors[0]?.inFlight], [true, opened.session.uid, inFlight])
})
