// SPDX-License-Identifier: Apache-2.0
// Reloading: order, what is said, and that the old configuration stays when the new one is not accepted.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type LoadedConfig, loadConfig } from '#base/config/load'
import type { Config } from '#base/config/schema'
import type { Logger } from '#base/port/logger'
import type { ConfigReading } from '../../../roles/configuration.ts'
import { Reloader } from '../../../roles/reloader.ts'

const settled = (): Promise<void> => new Promise(setImmediate)

function load(...settings: readonly string[]): { readonly kind: 'loaded' } & LoadedConfig {
  const outcome = loadConfig({ settings })
  assert.ok(outcome.kind === 'loaded')
  return outcome
}

function stage(running: LoadedConfig = load()) {
  const lines: string[] = []
  const logger: Logger = {
    log: (level, message, fields = {}) => void lines.push([level, message, ...Object.values(fields)].join(' | ')),
    scope: () => logger,
  }
  const given: Config[] = []
  const state = { next: running as ConfigReading, reload: async (): Promise<readonly string[]> => [] }
  const reading: ConfigReading = { ...running, kind: 'loaded' }
  state.next = reading
  const target = {
    reload: (config: Config) => {
      given.push(config)
      return state.reload()
    },
  }
  const reloader = new Reloader(logger, () => state.next, target, running)
  return { lines, given, state, reloader }
}

describe('reloader', () => {
  it('hands over what may change, and names what has to wait', async () => {
    const { lines, given, state, reloader } = stage()
    reloader.open()
    state.next = load('log.level=debug', 'mqtt.tcp_port=1', 'node_id=2')
    reloader.request()
    await settled()
    assert.deepEqual(lines, [
      'warn | mqtt.tcp_port changes with the next start',
      'warn | node_id is fixed: with another value the next start is refused',
      'info | reloaded | log.level',
    ])
    assert.deepEqual(
      given.map(({ log, mqtt, nodeId }) => [log.level, mqtt.tcpPort, nodeId]),
      [['debug', 1883, 1]],
    )
  })

  it('a configuration that is refused leaves the old one in force, and every problem is logged', async () => {
    const { lines, given, state, reloader } = stage()
    reloader.open()
    state.next = { kind: 'refused', problems: ['one', 'two'] }
    reloader.request()
    await settled()
    assert.deepEqual(lines, [
      'error | not reloaded, the old one stays in force | one',
      'error | not reloaded, the old one stays in force | two',
    ])
    assert.deepEqual(given, [])
  })

  it('a change is measured against what runs, not against what was read last', async () => {
    const { lines, given, state, reloader } = stage()
    reloader.open()
    for (const level of ['debug', 'debug', 'info']) {
      state.next = load(`log.level=${level}`)
      reloader.request()
      await settled()
    }
    assert.deepEqual(lines, ['info | reloaded | log.level', 'info | reloaded | nothing', 'info | reloaded | log.level'])
    assert.deepEqual(
      given.map(({ log }) => log.level),
      ['debug', 'debug', 'info'],
      'also when nothing has changed: files that the configuration names may have',
    )
  })

  it('a request before the node runs is kept until it does', async () => {
    const { given, state, reloader } = stage()
    state.next = load('log.level=debug')
    reloader.request()
    await settled()
    assert.equal(given.length, 0)
    reloader.open()
    await settled()
    assert.equal(given.length, 1)
  })

  it('one at a time: requests during a reload make one more, which reads again', async () => {
    const { given, state, reloader } = stage()
    reloader.open()
    let finish = (_problems: readonly string[]): void => undefined
    state.reload = () =>
      new Promise((resolve) => {
        finish = resolve
      })
    state.next = load('log.level=debug')
    reloader.request()
    await settled()
    state.next = load('log.level=warn')
    reloader.request()
    state.next = load('log.level=error')
    reloader.request()
    await settled()
    assert.equal(given.length, 1)
    finish([])
    await settled()
    assert.deepEqual(
      given.map(({ log }) => log.level),
      ['debug', 'error'],
    )
  })

  it('a component that fails to take it over is named', async () => {
    const { lines, state, reloader } = stage()
    reloader.open()
    state.reload = async () => ['engine: no']
    state.next = load('log.level=debug')
    reloader.request()
    await settled()
    assert.deepEqual(lines, ['error | a part of the node did not take the configuration over | engine: no', 'info | reloaded | log.level'])
  })
})
