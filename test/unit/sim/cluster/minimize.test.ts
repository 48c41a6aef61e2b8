// SPDX-License-Identifier: Apache-2.0
// A failing run is made small: what it does not need is left out, and what it needs stays (T6).
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { kindsOf, minimized, type Reduction } from '../../../sim/cluster/minimize.ts'

it('T6: a failure that needs two kinds of faults for a while keeps these, for not much longer', async () => {
  const tried: Reduction[] = []
  const fails = async (reduction: Reduction): Promise<boolean> => {
    tried.push(reduction)
    const { without, faultsForMs } = reduction
    return !without.has('crash') && !without.has('lostDisk') && faultsForMs > 3000
  }
  const { without, faultsForMs } = await minimized(['crash', 'stop', 'lostDisk', 'transfer'], 10_000, fails)
  assert.deepEqual([...without], ['stop', 'transfer'])
  assert.ok(faultsForMs > 3000 && faultsForMs < 3400, `${faultsForMs} ms`)
  assert.ok(tried.every((reduction) => reduction.faultsForMs <= 10_000))
})

it('T6: a failure that needs no faults is left with none', async () => {
  const { without } = await minimized(['crash', 'stop'], 1000, async () => true)
  assert.deepEqual([...without], ['crash', 'stop'])
  assert.deepEqual(kindsOf({ stop: 5, crash: 7 }), ['crash', 'stop'])
})
