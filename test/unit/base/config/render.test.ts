// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { parse } from 'smol-toml'
import { loadConfig } from '#base/config/load'
import { renderEffective, renderReference } from '#base/config/render'
import { keysOf, SCHEMA } from '#base/config/schema'

const committed = readFileSync(new URL('../../../../../config.toml', import.meta.url), 'utf8')

function load(text: string) {
  const outcome = loadConfig({ file: { name: 'config.toml', text, table: parse(text) } })
  assert.ok(outcome.kind === 'loaded')
  return outcome
}

describe('config.toml', () => {
  it('is what the schema generates', () => {
    assert.equal(committed, renderReference())
  })

  it('names every key with its default, so that loading it equals loading nothing', () => {
    const outcome = load(committed)
    const empty = loadConfig({})
    assert.ok(empty.kind === 'loaded')
    assert.deepEqual(outcome.config, empty.config)
    const unset = keysOf(SCHEMA).filter(({ path }) => outcome.settings.get(path)?.source.kind === 'default')
    assert.deepEqual(
      unset.map(({ path }) => path),
      ['security.allow_anonymous'],
      'only the deliberate key is commented out',
    )
  })

  it('shows each list as one table that can be uncommented as it is', () => {
    const at = committed.indexOf('# [[topic]]')
    const example = committed.slice(at, committed.indexOf('\n[', at)).replaceAll(/^# (\[\[|\w+ = )/gm, '$1')
    const placement = { filter: 'sensors/+/raw', storage: 'memory', model: 'independent', offline: false, storeQos0: false }
    const limits = { messageExpiry: 86_400_000, maxAge: 3_600_000, maxBytes: 16 * 1024 * 1024, maxMessages: 100 }
    assert.deepEqual(load(example).config.topic, [{ ...placement, ...limits }])
  })

  it('says of every key when a change takes effect', () => {
    for (const { path, key } of keysOf(SCHEMA)) {
      assert.ok(!(key.reload && key.fixed), path)
      const change = key.fixed ? 'fixed' : key.reload ? 'reload' : 'restart'
      const name = path.slice(path.lastIndexOf('.') + 1)
      const described = committed
        .split('\n\n')
        .filter((part) => new RegExp(`^(# )?${name} = `, 'm').test(part) && part.includes(`# ${key.text}\n`))
      assert.equal(described.length, 1, path)
      assert.ok(described[0]?.includes(` Change: ${change}.`), path)
    }
  })

  it('gives every key its line', () => {
    const lines = committed.split('\n')
    for (const [path, { source }] of load(committed).settings) {
      if (source.kind !== 'file') continue
      const name = path.slice(path.lastIndexOf('.') + 1)
      assert.ok(source.line !== undefined && lines[source.line - 1]?.startsWith(`${name} = `), path)
    }
  })
})

describe('the effective configuration', () => {
  it('is TOML that loads to the same values, and says where each comes from', () => {
    const text = '[mqtt]\nmax_qos = 1\nkeep_alive_max = "90s"\n[[topic]]\nfilter = "b/#"\n[[topic]]\noffline = false\nfilter = "a"'
    const outcome = loadConfig({
      file: { name: 'my.toml', text, table: parse(text) },
      environment: { ROBUSTMQ_MQTT__SESSION_EXPIRY_MAX: '3600s' },
      settings: ['engine.tail_bytes=2097153'],
    })
    assert.ok(outcome.kind === 'loaded')
    const shown = renderEffective(outcome.settings)
    assert.match(shown, /^max_qos = 1 # my.toml:2$/m)
    assert.match(shown, /^session_expiry_max = "1h" # ROBUSTMQ_MQTT__SESSION_EXPIRY_MAX$/m)
    assert.match(shown, /^tail_bytes = "2097153B" # --set$/m)
    assert.match(shown, /^tcp_port = 1883 # default$/m)
    assert.match(
      shown,
      /^\[\[topic\]\] # my.toml:4\nfilter = "b\/#" # my.toml:5\n\n\[\[topic\]\] # my.toml:6\nfilter = "a" # my.toml:8\noffline = false # my.toml:7\n$/m,
    )
    assert.deepEqual(load(shown).config, outcome.config)
  })
})
