// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { SessionRegistry } from '../../../../../src/broker/handler/mqtt/session-registry.ts'

/** Connections of one client; the first is in the middle of opening until `opened`. */
function setUp() {
  const registry = new SessionRegistry()
  const order: string[] = []
  let opened = (): void => undefined
  const session = (name: string) => ({ takenOver: async () => void order.push(`${name} taken over`) })
  const first = registry.enter('c', {}, async () => {
    await new Promise<void>((resolve) => {
      opened = resolve
    })
    order.push('first')
    return session('first')
  })
  const enter = (name: string, claimant: object = {}) =>
    registry.enter('c', claimant, async () => {
      order.push(name)
      return session(name)
    })
  return { registry, order, first, enter, opened: () => opened() }
}

test('Q9 those who want one session open it one after the other, each after the one before is out of it', async () => {
  const { registry, order, first, enter, opened } = setUp()
  const others = [enter('second'), enter('third')]
  await nextTurn()
  assert.deepEqual(order, [])
  opened()
  assert.deepEqual(await Promise.all([first, ...others]), ['done', 'done', 'done'])
  assert.deepEqual(order, ['first', 'first taken over', 'second', 'second taken over', 'third'])
  assert.equal(registry.connected, 1)
})

test('Q10 connections that have gone hold no place among those who may wait, and take nothing over', async () => {
  const { registry, order, first, enter, opened } = setUp()
  await nextTurn()
  const claimants = Array.from({ length: 15 }, () => ({}))
  const waiting = claimants.map((claimant, at) => enter(`waiter ${at}`, claimant))
  assert.equal(await enter('one too many'), 'busy')
  for (const claimant of claimants) registry.leave('c', claimant)
  assert.deepEqual(
    await Promise.all(waiting),
    Array.from({ length: 15 }, () => 'left'),
  )
  const last = enter('last')
  opened()
  assert.deepEqual([await first, await last], ['done', 'done'])
  assert.deepEqual(order, ['first', 'first taken over', 'last'])
})

test('a failure to open passes the turn on', async () => {
  const registry = new SessionRegistry()
  const failing = registry.enter('c', {}, async () => {
    throw new Error('no meta')
  })
  const next = registry.enter('c', {}, async () => undefined)
  await assert.rejects(failing, /no meta/)
  assert.equal(await next, 'done')
  assert.equal(registry.connected, 0)
})

test('a connection that leaves while it waits gives its place to another, and does not open', async () => {
  const registry = new SessionRegistry()
  let proceed = (): void => undefined
  const stalled = new Promise<undefined>((resolve) => {
    proceed = () => resolve(undefined)
  })
  const first = registry.enter('c', {}, () => stalled)
  const claimant = {}
  const second = registry.enter('c', claimant, () => assert.fail('it has left'))
  const third = registry.enter('c', {}, async () => ({ takenOver: async () => undefined }))
  registry.leave('c', claimant)
  assert.equal(await second, 'left')
  proceed()
  assert.deepEqual([await first, await third, registry.connected], ['done', 'done', 1])
})
