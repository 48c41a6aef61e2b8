// SPDX-License-Identifier: Apache-2.0
// The checker of replicated states knows the records that production writes, and finds replicas that differ (R41, R51).
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createMetaMachine } from '#meta'
import { StateBroken, StateChecker } from '../../../../sim/cluster/meta/state-checker.ts'
import { SortedMap } from '../../../../sim/sorted-map.ts'
import { MemoryKv } from '../../../meta/memory-kv.ts'

const GROUP = 1
const empty = (index: number) => ({ index, term: 1, kind: 'empty' as const, data: Buffer.alloc(0) })

/** What a replica of the metadata stores after so many entries. */
async function replica(entries: number): Promise<SortedMap> {
  const kv = new MemoryKv()
  const machine = createMetaMachine('metadata', GROUP, 0, 1, kv)
  await machine.open()
  await machine.apply(Array.from({ length: entries }, (_, at) => empty(at + 1)))
  await machine.persist()
  const stored = new SortedMap()
  for (const { key, value } of await kv.scan({ gte: Buffer.alloc(0), lt: Buffer.alloc(64, 0xff), limit: 1000 }))
    stored.set(key.toString('latin1'), value)
  return stored
}

const APPLIED = Buffer.from('6d0000000101', 'hex').toString('latin1')

it('R51: equal replicas are accepted, and agree when they stand at the same index', async () => {
  const checker = new StateChecker([GROUP])
  const [one, same, behind] = [await replica(5), await replica(5), await replica(4)]
  checker.look(1, one)
  checker.look(2, same)
  checker.look(3, behind)
  assert.equal(
    checker.compare(
      new Map([
        [1, one],
        [2, same],
      ]),
    ),
    true,
  )
  assert.equal(
    checker.compare(
      new Map([
        [1, one],
        [3, behind],
      ]),
    ),
    false,
  )
})

it('R51: another hash at the same index is found', async () => {
  const checker = new StateChecker([GROUP])
  const [one, other] = [await replica(5), await replica(5)]
  const record = Buffer.from(other.get(APPLIED) as Buffer)
  record.writeUInt8((record.at(-1) as number) ^ 1, record.length - 1)
  other.set(APPLIED, record)
  checker.look(1, one)
  assert.throws(() => checker.look(2, other), StateBroken)
})

it('R41: a key that only one replica has is found', async () => {
  const checker = new StateChecker([GROUP])
  const [one, other] = [await replica(5), await replica(5)]
  other.set(`${APPLIED.slice(0, 5)}\x1fkey`, Buffer.from('value'))
  assert.throws(
    () =>
      checker.compare(
        new Map([
          [1, one],
          [2, other],
        ]),
      ),
    StateBroken,
  )
})
