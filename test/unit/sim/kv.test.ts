// SPDX-License-Identifier: Apache-2.0
// The model key-value store: the suite of the port, and what process death and power loss leave behind.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Kv } from '#base/port/kv'
import { SimKvStore } from '../../sim/kv.ts'
import { Life } from '../../sim/life.ts'
import { World } from '../../sim/world.ts'
import { kvSuite } from '../../suite/kv.ts'

const CONDITIONS = { delayMs: 0.1, syncDelayMs: 1 }
const key = (text: string): Buffer => Buffer.from(text)
const put = (name: string, value: string) => ({ key: key(name), value: key(value) })

const everything = async (kv: Kv): Promise<string> =>
  (await kv.scan({ gte: key(''), lt: key('~') })).map((pair) => `${pair.key}=${pair.value}`).join(' ')

kvSuite('simulated', async () => {
  const world = new World({ seed: 1, selfRunning: true })
  const store = new SimKvStore(world, world.random.stream('kv'), CONDITIONS)
  return {
    kv: store.open(new Life(1, 1)),
    reopen: async () => store.open(new Life(1, 2)),
    dispose: async () => {},
  }
})

it('process death keeps every batch that was confirmed, synced or not', async () => {
  const world = new World({ seed: 1 })
  const store = new SimKvStore(world, world.random.stream('kv'), CONDITIONS)
  const life = new Life(1, 1)
  const kv = store.open(life)
  for (const name of ['a', 'b', 'c']) await world.runUntil(kv.write([put(name, '1')], { sync: false }))
  life.end()
  store.kill()
  assert.equal(await world.runUntil(everything(store.open(new Life(1, 2)))), 'a=1 b=1 c=1')
})

it('R8: a power loss keeps a prefix of the batches, whole ones, at least up to the last synced one', async () => {
  const outcomes = new Set<string>()
  for (let seed = 1; seed <= 60; seed++) {
    const world = new World({ seed })
    const store = new SimKvStore(world, world.random.stream('kv'), CONDITIONS)
    const life = new Life(1, 1)
    const kv = store.open(life)
    await world.runUntil(kv.write([put('a', '1'), put('A', '1')], { sync: false }))
    await world.runUntil(kv.write([put('b', '1'), put('B', '1')], { sync: true }))
    await world.runUntil(kv.write([put('c', '1'), put('C', '1')], { sync: false }))
    await world.runUntil(kv.write([put('d', '1'), put('D', '1')], { sync: false }))
    life.end()
    store.crash()
    outcomes.add(await world.runUntil(everything(store.open(new Life(1, 2)))))
  }
  const upToB = 'A=1 B=1 a=1 b=1'
  assert.deepEqual([...outcomes].sort(), [upToB, 'A=1 B=1 C=1 D=1 a=1 b=1 c=1 d=1', 'A=1 B=1 C=1 a=1 b=1 c=1'].sort())
})

it('an unconfirmed write of a dead process may or may not be there, and its promise never settles', async () => {
  const outcomes = new Set<string>()
  for (let seed = 1; seed <= 20; seed++) {
    const world = new World({ seed })
    const store = new SimKvStore(world, world.random.stream('kv'), CONDITIONS)
    const life = new Life(1, 1)
    let settled = false
    void store
      .open(life)
      .write([put('a', '1')], { sync: true })
      .finally(() => {
        settled = true
      })
    life.end()
    store.kill()
    outcomes.add(await world.runUntil(everything(store.open(new Life(1, 2)))))
    assert.equal(settled, false)
  }
  assert.deepEqual([...outcomes].sort(), ['', 'a=1'])
})

it('an iterator keeps its view over a hundred thousand keys while writes go on', async () => {
  const world = new World({ seed: 1 })
  const kv = new SimKvStore(world, world.random.stream('kv'), CONDITIONS).open(new Life(1, 1))
  const name = (at: number): string => `k${String(at).padStart(6, '0')}`
  const count = 100_000
  const order = Array.from({ length: count }, (_, at) => (at * 7919) % count)
  await world.runUntil(
    kv.write(
      order.map((at) => put(name(at), String(at))),
      { sync: true },
    ),
  )
  const iterator = kv.iterate({ gte: key('k'), lt: key('l') })
  await world.runUntil(
    kv.write(
      order.map((at) => ({ key: key(name(at)), value: undefined })),
      { sync: false },
    ),
  )
  let seen = 0
  for (;;) {
    const pairs = await world.runUntil(iterator.next(10_000))
    if (pairs.length === 0) break
    for (const pair of pairs) assert.equal(String(pair.key), name(seen++))
  }
  assert.equal(seen, count)
  assert.equal(await world.runUntil(everything(kv)), '')
})
