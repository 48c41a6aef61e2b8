// SPDX-License-Identifier: Apache-2.0
// The life of a node: order of start and stop, failures, readiness, and the bound on the stop.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Component } from '#base/component'
import { loadConfig } from '#base/config/load'
import type { Clock, Timer } from '#base/port/clock'
import type { Logger } from '#base/port/logger'
import { Node, STOP_MS_MAX } from '../../../roles/node.ts'

const LOGGER: Logger = { log: () => undefined, scope: () => LOGGER }

/** A clock that stands still until it is told. */
class HandClock implements Clock {
  readonly #timers = new Set<{ readonly dueMs: number; readonly fire: () => void }>()
  #nowMs = 0

  monotonic(): number {
    return this.#nowMs
  }

  realtime(): number {
    return this.#nowMs
  }

  after(delayMs: number, fire: () => void): Timer {
    const timer = { dueMs: this.#nowMs + delayMs, fire }
    this.#timers.add(timer)
    return { cancel: () => void this.#timers.delete(timer) }
  }

  endOfTurn(): void {
    assert.fail('a node does not wait for turns')
  }

  get timerCount(): number {
    return this.#timers.size
  }

  advance(ms: number): void {
    this.#nowMs += ms
    for (const timer of this.#timers) if (timer.dueMs <= this.#nowMs) timer.fire()
  }
}

function stage() {
  const events: string[] = []
  const clock = new HandClock()
  const component = (name: string, rest: Partial<Component> = {}): Component => ({
    name,
    start: async () => void events.push(`start ${name}`),
    stop: async () => void events.push(`stop ${name}`),
    ...rest,
  })
  return { events, clock, component, node: new Node(clock, LOGGER) }
}

const failing = (words: string) => () => Promise.reject(new Error(words))
const never = () => new Promise<void>(() => undefined)

describe('Node', () => {
  it('starts in order, stops in reverse, and leaves no timer behind', async () => {
    const { events, clock, component, node } = stage()
    assert.equal(await node.start([component('http'), component('meta'), component('broker')]), 'running')
    assert.deepEqual(await node.stop(), { kind: 'clean' })
    assert.deepEqual(events, ['start http', 'start meta', 'start broker', 'stop broker', 'stop meta', 'stop http'])
    assert.equal(clock.timerCount, 0)
  })

  it('a component that fails to start stops those started, itself included, and the failure is told', async () => {
    const { events, component, node } = stage()
    const broken = component('meta', { start: failing('no disk') })
    await assert.rejects(node.start([component('http'), broken, component('broker')]), /no disk/)
    assert.deepEqual(events, ['start http', 'stop meta', 'stop http'])
    assert.deepEqual(node.unready(), ['node: stopping'])
  })

  it('stop during the start lets the component under way finish, starts no other, and stops it', async () => {
    const { events, component, node } = stage()
    let finish = (): void => undefined
    const slow = component('meta', {
      start: () =>
        new Promise((resolve) => {
          events.push('start meta')
          finish = resolve
        }),
    })
    const starting = node.start([component('http'), slow, component('broker')])
    await Promise.resolve()
    const stopping = node.stop()
    finish()
    assert.equal(await starting, 'stopped')
    assert.deepEqual(await stopping, { kind: 'clean' })
    assert.deepEqual(events, ['start http', 'start meta', 'stop meta', 'stop http'])
  })

  it('a component that fails to stop does not keep the others from stopping', async () => {
    const { events, component, node } = stage()
    await node.start([component('http'), component('meta', { stop: failing('cursors not saved') }), component('broker')])
    assert.deepEqual(await node.stop(), { kind: 'unclean', problems: ['meta: cursors not saved'] })
    assert.deepEqual(events.slice(3), ['stop broker', 'stop http'])
  })

  it('a component that hangs is named when the time is over', async () => {
    const { clock, component, node } = stage()
    await node.start([component('http'), component('meta', { stop: never }), component('broker')])
    const stopping = node.stop()
    await new Promise(setImmediate)
    clock.advance(STOP_MS_MAX)
    assert.deepEqual(await stopping, { kind: 'unclean', problems: [`meta did not stop within ${STOP_MS_MAX} ms`] })
  })

  it('repeated stops are one stop', async () => {
    const { events, component, node } = stage()
    await node.start([component('http')])
    assert.deepEqual(await Promise.all([node.stop(), node.stop()]), [{ kind: 'clean' }, { kind: 'clean' }])
    assert.deepEqual(events, ['start http', 'stop http'])
  })

  it('is ready when all has started and no component objects', async () => {
    const { component, node } = stage()
    let reason: string | undefined
    const observed: (readonly string[])[] = []
    const meta = component('meta', {
      start: async () => void observed.push(node.unready()),
      unready: () => reason,
      warnings: () => ['a disk is old'],
      addresses: () => ['meta 127.0.0.1:1'],
    })
    await node.start([component('http', { addresses: () => ['http 127.0.0.1:2'] }), meta])
    assert.deepEqual(observed, [['node: starting']])
    assert.deepEqual(node.unready(), [])
    assert.deepEqual(node.warnings(), ['meta: a disk is old'])
    assert.deepEqual(node.addresses(), ['http 127.0.0.1:2', 'meta 127.0.0.1:1'])
    reason = 'no leader'
    assert.deepEqual(node.unready(), ['meta: no leader'])
    await node.stop()
    assert.deepEqual(node.unready(), ['node: stopping'])
  })

  it('hands a configuration over in the order of the start; one that fails does not keep it from the others', async () => {
    const { events, component, node } = stage()
    const outcome = loadConfig({})
    assert.ok(outcome.kind === 'loaded')
    const { config } = outcome
    const takes = (name: string) =>
      component(name, {
        reload: (given) => {
          assert.equal(given, config)
          events.push(`reload ${name}`)
        },
      })
    await node.start([takes('log'), component('kv'), component('meta', { reload: failing('no') }), takes('broker')])
    assert.deepEqual(await node.reload(config), ['meta: no'])
    assert.deepEqual(events.slice(-2), ['reload log', 'reload broker'])
    await node.stop()
    assert.deepEqual(await node.reload(config), [])
    assert.ok(events.at(-1)?.startsWith('stop'))
  })
})
