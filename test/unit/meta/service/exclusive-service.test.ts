// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { client, createMetaNode, NOW_MS, opening, will } from '../meta-node.ts'

async function setUp() {
  const { service, idle } = await createMetaNode({ dataGroups: 3 })
  const open = async (id: string, changes = {}) => (await service.openSession(opening(id, changes))).session
  return { service, exclusive: service.exclusive, idle, open }
}

test('one session at a time owns a filter; it may claim it again, with a later connection too', async () => {
  const { exclusive, open } = await setUp()
  const [a, b] = [await open('a'), await open('b')]
  assert.equal(await exclusive.claim('f/+', a), 'granted')
  assert.equal(await exclusive.claim('f/+', b), 'held')
  assert.equal(await exclusive.claim('f/#', b), 'granted', 'filters are compared as they are written')
  const again = await open('a')
  assert.equal(again.uid, a.uid)
  assert.equal(await exclusive.claim('f/+', again), 'granted')
})

test('of two claims at the same time one is granted', async () => {
  const { exclusive, open } = await setUp()
  const sessions = await Promise.all(['a', 'b', 'c'].map((id) => open(id)))
  const claims = await Promise.all(sessions.map((session) => exclusive.claim('f', session)))
  assert.deepEqual(claims.sort(), ['granted', 'held', 'held'])
})

test('Q9 a connection that has lost its session neither claims nor releases', async () => {
  const { exclusive, open } = await setUp()
  const [old, other] = [await open('a'), await open('b')]
  const current = await open('a')
  assert.equal(await exclusive.claim('f', current), 'granted')
  assert.equal(await exclusive.claim('f', old), 'fenced')
  await exclusive.release(['f'], old)
  assert.equal(await exclusive.claim('f', other), 'held')
  await exclusive.release(['f'], current)
  assert.equal(await exclusive.claim('f', other), 'granted')
})

test('a session that is away keeps its filter; one that has ended, or begun anew, does not', async () => {
  const { service, exclusive, open } = await setUp()
  const [a, b] = [await open('a'), await open('b')]
  await exclusive.claim('f', a)
  await service.closeSession({ ...client('a'), epoch: a.epoch, nowMs: NOW_MS, expirySeconds: 60, keepWill: false })
  assert.equal(await exclusive.claim('f', b), 'held')
  await service.endSession(a, a.uid, a.epoch)
  assert.equal(await exclusive.claim('f', b), 'granted')
  await open('b', { cleanStart: true })
  assert.equal(await exclusive.claim('f', await open('c')), 'granted')
})

test('a session of which only the will is left has ended', async () => {
  const { service, exclusive, open } = await setUp()
  const a = await open('a', { will: will('w', 60) })
  await exclusive.claim('f', a)
  await service.closeSession({ ...client('a'), epoch: a.epoch, nowMs: NOW_MS, expirySeconds: 0, keepWill: true })
  assert.equal(await exclusive.claim('f', await open('b')), 'granted')
})

test('what ended sessions have left is collected, and nothing else', async () => {
  const { service, exclusive, open } = await setUp()
  const [a, b] = [await open('a'), await open('b')]
  for (let at = 0; at < 20; at++) await exclusive.claim(`f/${at}`, at % 2 === 0 ? a : b)
  await service.endSession(a, a.uid, a.epoch)
  await exclusive.collect(() => false)
  const held = await Promise.all(Array.from({ length: 20 }, (_, at) => exclusive.claim(`f/${at}`, a)))
  assert.deepEqual(
    held,
    held.map((_, at) => (at % 2 === 0 ? 'granted' : 'held')),
  )
})
