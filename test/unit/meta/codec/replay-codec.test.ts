// SPDX-License-Identifier: Apache-2.0
// D8: the place of a replay is kept with the cursor, and what has no replay keeps the form that it had.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { decodeCursor, encodeCursor } from '../../../../src/meta/codec/cursor-codec.ts'
import { decodeSubscription, encodeSubscription } from '../../../../src/meta/codec/session-codec.ts'

const SUBSCRIPTION = { filter: 'a/+', qos: 1, noLocal: false, retainAsPublished: true, identifier: 7, since: [{ log: 1, position: 9 }] }
const CURSOR = {
  log: 3,
  next: 10,
  seen: 12,
  inFlight: [
    { position: 4, packetId: 1, order: 0, qos: 2 as const, released: false },
    { position: 5, packetId: 2, order: 1, qos: 1 as const, released: false, share: 77 },
  ],
}

it('a subscription that replays comes back as one', () => {
  assert.deepEqual(decodeSubscription(encodeSubscription({ ...SUBSCRIPTION, replay: true })), { ...SUBSCRIPTION, replay: true })
})

it('other subscriptions are written in the first format', () => {
  const bytes = encodeSubscription(SUBSCRIPTION)
  assert.equal(bytes[0], 1)
  assert.deepEqual(decodeSubscription(bytes), SUBSCRIPTION)
})

it('places of replays come back, beside what is in flight', () => {
  const cursor = {
    ...CURSOR,
    replays: [
      { filter: 'a/+', next: 2 ** 40 },
      { filter: '#', next: 0 },
    ],
  }
  assert.deepEqual(decodeCursor(encodeCursor(cursor)), cursor)
})

it('a cursor without replays has none', () => {
  assert.deepEqual(decodeCursor(encodeCursor(CURSOR)), CURSOR)
})
