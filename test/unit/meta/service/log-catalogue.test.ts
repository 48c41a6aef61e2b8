// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { CataloguedLog } from '#contract/client/log-catalogue'
import { createMetaNode, NOW_MS } from '../meta-node.ts'

const log = (id: number, topic: string, storage: CataloguedLog['storage'] = 'segment'): CataloguedLog => ({
  id,
  storage,
  topic,
  createdAtMs: NOW_MS + id,
})

test('a topic has one log of each storage type, and creating it again changes nothing', async () => {
  const { service } = await createMetaNode()
  assert.deepEqual(await service.logs(), { logs: [], nextId: 0 })
  assert.deepEqual(await service.createLog(log(12, 'a/b')), { kind: 'created' })
  assert.deepEqual(await service.createLog(log(13, 'a/b', 'memory')), { kind: 'created' })
  assert.deepEqual(await service.createLog({ ...log(12, 'a/b'), createdAtMs: 1 }), { kind: 'created' })
  assert.deepEqual(await service.createLog(log(14, 'a/b')), { kind: 'exists', id: 12 })
  assert.deepEqual(await service.logs(), { logs: [log(12, 'a/b'), log(13, 'a/b', 'memory')], nextId: 14 })
})

test('R50: an id is given once: not while its log is there, and not when it is gone', async () => {
  const { service } = await createMetaNode()
  await service.createLog(log(12, 'a'))
  assert.deepEqual(await service.createLog(log(12, 'b')), { kind: 'taken', nextId: 13 })
  await service.removeLog(log(12, 'a'))
  assert.deepEqual(await service.createLog(log(12, 'a')), { kind: 'taken', nextId: 13 })
  assert.deepEqual(await service.logs(), { logs: [], nextId: 13 })
  assert.deepEqual(await service.createLog(log(13, 'a')), { kind: 'created' })
})

test('a removal that is repeated, or late, leaves the log that has come since', async () => {
  const { service } = await createMetaNode()
  await service.createLog(log(12, 'a'))
  await service.removeLog(log(12, 'a'))
  await service.removeLog(log(12, 'a'))
  await service.createLog(log(13, 'a'))
  await service.removeLog(log(12, 'a'))
  assert.deepEqual((await service.logs()).logs, [log(13, 'a')])
})

test('logs are listed by id, whatever their topics and types', async () => {
  const { service } = await createMetaNode()
  const created = ['z', 'ü/ü', '', 'a'].map((topic, at) => log(20 + at, topic, at % 2 === 0 ? 'rocksdb' : 'memory'))
  for (const one of created) await service.createLog(one)
  assert.deepEqual((await service.logs()).logs, created)
})

test('a topic with U+0000 is refused', async () => {
  const { service } = await createMetaNode()
  await assert.rejects(service.createLog(log(12, 'a\0b')), (error) => isPlatformError(error, ERROR_CODES.invalid))
})
