// SPDX-License-Identifier: Apache-2.0
// [[mqtt.rewrite]] and [[mqtt.auto_subscribe]]: which rules refuse the start.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'smol-toml'
import { loadConfig } from '#base/config/load'

const load = (text: string) => loadConfig({ file: { name: 'config.toml', text, table: parse(text) } })
const problems = (text: string): readonly string[] => {
  const outcome = load(text)
  return outcome.kind === 'refused' ? outcome.problems.map(({ path }) => path) : []
}
const rewrite = (regex: string, to: string, action = 'all') =>
  `[[mqtt.rewrite]]\naction = "${action}"\nfilter = "a/#"\nregex = '${regex}'\nto = "${to}"\n`

test('rules become settings, in their order', () => {
  const auto = '[[mqtt.auto_subscribe]]\nfilter = "inbox/%c/#"\nqos = 1\nretain_handling = 2\n'
  const outcome = load(rewrite('^a/(.+)$', 'b/$1') + rewrite('x', 'y/+', 'subscribe') + auto)
  assert.ok(outcome.kind === 'loaded')
  assert.deepEqual(
    outcome.config.mqtt.rewrite.map(({ to }) => to),
    ['b/$1', 'y/+'],
  )
  assert.deepEqual(outcome.config.mqtt.autoSubscribe, [{ filter: 'inbox/%c/#', qos: 1, retainHandling: 2 }])
})

test('a regex that is invalid, or could take forever, refuses the start', () => {
  for (const regex of ['(', '(a)\\1', '(?=a)b', '(a*)*']) assert.deepEqual(problems(rewrite(regex, 'b')), ['mqtt.rewrite[0].regex'], regex)
})

test('a template that names a group which is not there, or makes a wildcard of a topic, refuses the start', () => {
  assert.deepEqual(problems(rewrite('^a/(.+)$', '$1/$2')), ['mqtt.rewrite[0].to'])
  assert.deepEqual(problems(rewrite('^a/(.+)$', '$0')), ['mqtt.rewrite[0].to'])
  assert.deepEqual(problems(rewrite('^a/(.+)$', 'b/+', 'publish')), ['mqtt.rewrite[0].to'])
})

test('an automatic subscription has a filter and a QoS', () => {
  assert.deepEqual(problems('[[mqtt.auto_subscribe]]\nfilter = "a/#/b"\nqos = 3\n'), [
    'mqtt.auto_subscribe[0].filter',
    'mqtt.auto_subscribe[0].qos',
  ])
})
