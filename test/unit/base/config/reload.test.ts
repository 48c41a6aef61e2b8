// SPDX-License-Identifier: Apache-2.0
// A configuration that is read again: what takes effect, what waits, and what does not go with what stays.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parse } from 'smol-toml'
import { type LoadedConfig, loadConfig } from '#base/config/load'
import { formatProblem } from '#base/config/problem'
import { planReload } from '#base/config/reload'

function load(text: string): LoadedConfig {
  const outcome = loadConfig({ file: { name: 'config.toml', text, table: parse(text) } })
  assert.ok(outcome.kind === 'loaded', outcome.kind === 'refused' ? outcome.problems.map(formatProblem).join('\n') : '')
  return outcome
}

describe('a reload', () => {
  it('of the same configuration changes nothing, however it is written', () => {
    const plan = planReload(load('[mqtt]\nconnect_timeout = "60s"'), load('mqtt.connect_timeout = "1m"\nnode_id = 1'))
    assert.deepEqual([plan.applied, plan.deferred, plan.fixed], [[], [], []])
  })

  it('applies what can change while the node runs, and only that', () => {
    const running = load('node_id = 7\n[engine]\nstripes = 2\n[mqtt]\ntcp_port = 1000\nsubscriptions_max = 5')
    const next = load(
      'node_id = 8\n[engine]\nstripes = 3\n[engine.retention]\nmax_age = "1h"\n[log]\nlevel = "debug"\nformat = "json"\n[mqtt]\ntcp_port = 2000\nsubscriptions_max = 6\nsession_expiry_max = "1d"\n[[topic]]\nfilter = "a"',
    )
    const plan = planReload(running, next)
    assert.deepEqual(plan.applied, ['log.level', 'engine.retention.max_age', 'mqtt.session_expiry_max', 'mqtt.subscriptions_max', 'topic'])
    assert.deepEqual(plan.deferred, ['log.format', 'mqtt.tcp_port'])
    assert.deepEqual(plan.fixed, ['node_id', 'engine.stripes'])
    assert.ok(plan.outcome.kind === 'loaded')
    const { config } = plan.outcome
    assert.deepEqual([config.nodeId, config.engine.stripes, config.log.format, config.mqtt.tcpPort], [7, 2, 'text', 1000])
    assert.deepEqual([config.log.level, config.engine.retention.maxAge, config.mqtt.subscriptionsMax], ['debug', 3_600_000, 6])
    assert.deepEqual(config.topic, [{ filter: 'a' }])
  })

  it('sees a table that changed, moved or went', () => {
    const running = load('[[topic]]\nfilter = "a"\n[[topic]]\nfilter = "b"')
    for (const text of ['[[topic]]\nfilter = "b"\n[[topic]]\nfilter = "a"', '[[topic]]\nfilter = "a"', '']) {
      assert.deepEqual(planReload(running, load(text)).applied, ['topic'], text)
    }
  })

  it('names what waits again each time, until it is taken back', () => {
    const running = load('[mqtt]\ntcp_port = 1000')
    const first = planReload(running, load('[mqtt]\ntcp_port = 2000'))
    assert.ok(first.outcome.kind === 'loaded')
    assert.deepEqual(planReload(first.outcome, load('[mqtt]\ntcp_port = 2000')).deferred, ['mqtt.tcp_port'])
    assert.deepEqual(planReload(first.outcome, load('[mqtt]\ntcp_port = 1000')).deferred, [])
  })

  it('is refused when what would change does not go with what stays', () => {
    const running = load('[mqtt]\nmax_packet_size = "2MiB"')
    const next = load('[mqtt]\nmax_packet_size = "1MiB"\nwrite_queue_bytes = "1MiB"')
    const plan = planReload(running, next)
    assert.deepEqual(plan.deferred, ['mqtt.max_packet_size'])
    assert.ok(plan.outcome.kind === 'refused')
    assert.deepEqual(plan.outcome.problems.map(formatProblem), [
      'config.toml:3: mqtt.write_queue_bytes = "1MiB": expected at least mqtt.max_packet_size, which is "2MiB"',
    ])
  })
})
