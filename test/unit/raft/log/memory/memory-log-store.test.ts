// SPDX-License-Identifier: Apache-2.0
// The memory log store is a log store.
import { MemoryLogStore } from '#raft'
import { logStoreSuite } from '../../../../suite/log-store.ts'

logStoreSuite('memory', { survives: false }, async () => ({ create: () => new MemoryLogStore(), dispose: async () => {} }))
