// SPDX-License-Identifier: Apache-2.0
// The memory log store is a log store.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { MemoryLogStore } from '#raft'
import { logStoreSuite } from '../../../../suite/log-store.ts'

logStoreSuite('memory', { survives: false }, async () => ({ create: () => new MemoryLogStore(), dispose: async () => {} }))

it('small entries count with what their objects cost, so that a bound of bytes is one of memory', async () => {
  const store = new MemoryLogStore()
  const data = Buffer.alloc(1)
  const entries = Array.from({ length: 1000 }, (_, at) => ({ index: at + 1, term: 1, kind: 'normal' as const, data }))
  await store.write([{ group: 1, entries }])
  assert.ok(store.pressure().bytes > 1000 * 100)
})
