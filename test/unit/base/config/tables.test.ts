// SPDX-License-Identifier: Apache-2.0
// Lists of tables: what a row becomes, where its mistakes are, and who may give one.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parse } from 'smol-toml'
import { duration, integer, optional, tables } from '#base/config/key'
import { type ConfigLayers, loadConfig } from '#base/config/load'
import { formatProblem } from '#base/config/problem'
import { readTables } from '#base/config/read-tables'

const file = (text: string) => ({ name: 'config.toml', text, table: parse(text) })

function topics(text: string) {
  const outcome = loadConfig({ file: file(text) })
  assert.ok(outcome.kind === 'loaded', outcome.kind === 'refused' ? outcome.problems.map(formatProblem).join('\n') : '')
  return outcome.config.topic
}

function refused(layers: ConfigLayers): readonly string[] {
  const outcome = loadConfig(layers)
  assert.ok(outcome.kind === 'refused')
  return outcome.problems.map(formatProblem)
}

describe('lists of tables', () => {
  it('no table is an empty list; tables keep their order; what is optional and left out is absent', () => {
    assert.deepEqual(topics(''), [])
    const text =
      '[[topic]]\nfilter = "b/#"\noffline = false\n[mqtt]\nmax_qos = 1\n[[topic]]\nstore_qos0 = true\nfilter = "a"\nstorage = "memory"'
    const rows = topics(text)
    assert.deepEqual(rows, [
      { filter: 'b/#', offline: false },
      { filter: 'a', storage: 'memory', storeQos0: true },
    ])
    assert.ok(Object.isFrozen(rows) && rows.every(Object.isFrozen))
  })

  it('inline tables are tables too', () => {
    assert.deepEqual(topics('topic = [{ filter = "a" }, { filter = "b" }]'), [{ filter: 'a' }, { filter: 'b' }])
  })

  it('every mistake is told on the line of its own table, with the nearest key of the table', () => {
    const text = `[[topic]]
filter = "a"
offlin = false

[[topic]] # nothing in it

[[topic]]
filter = "a/#/b"
storage = "paper"
weather = 1
`
    assert.deepEqual(refused({ file: file(text) }), [
      'config.toml:3: topic[0].offlin = false: there is no such key, did you mean offline?',
      'config.toml:5: topic[1].filter is missing: expected a topic filter: "+" and "#" alone in their level, "#" in the last',
      'config.toml:8: topic[2].filter = "a/#/b": expected a topic filter: "+" and "#" alone in their level, "#" in the last',
      'config.toml:9: topic[2].storage = "paper": expected one of "rocksdb", "segment", "memory"',
      'config.toml:10: topic[2].weather = 1: there is no such key',
    ])
  })

  it('what is inside an inline table is told on the line of the list', () => {
    const problems = refused({ file: file('node_id = 1\ntopic = [{ filter = "a" }, { filter = "" }]') })
    assert.deepEqual(problems, [
      'config.toml:2: topic[1].filter = "": expected a topic filter: "+" and "#" alone in their level, "#" in the last',
    ])
  })

  it('one table, a value, a list of values, and a misspelled list are told what a list is', () => {
    for (const [text, shown] of [
      ['[topic]\nfilter = "a"', '{…}'],
      ['topic = 5', '5'],
      ['topic = ["a"]', '["a"]'],
    ] as const) {
      assert.deepEqual(refused({ file: file(text) }), [`config.toml:1: topic = ${shown}: expected a list of tables, each under [[topic]]`])
    }
    assert.deepEqual(refused({ file: file('[[topics]]\nfilter = "a"') }), [
      'config.toml:1: topics = [{"filter":"a"}]: there is no such key, did you mean topic?',
    ])
  })

  it('neither the environment nor --set can give one, and both say so', () => {
    const words = 'expected [[topic]] in the file: neither the environment nor --set can give lists of tables'
    const environment = { ROBUSTMQ_TOPIC: 'a', ROBUSTMQ_TOPIC__FILTER: 'a' }
    assert.deepEqual(refused({ environment, settings: ['topic=a', 'topic[0].filter=a', 'topic.filter=a', 'topics=a'] }), [
      `ROBUSTMQ_TOPIC: topic = "a": ${words}`,
      `ROBUSTMQ_TOPIC__FILTER: topic.filter = "a": ${words}`,
      `--set: topic = "a": ${words}`,
      `--set: topic[0].filter = "a": ${words}`,
      `--set: topic.filter = "a": ${words}`,
      '--set: topics = "a": there is no such key',
    ])
  })

  it('a filter that an earlier table has would never decide: it is refused', () => {
    assert.deepEqual(refused({ file: file('[[topic]]\nfilter = "a"\n[[topic]]\nfilter = "b"\n[[topic]]\nfilter = "a"') }), [
      'config.toml:6: topic[2].filter = "a": expected a filter that topic[0] does not have already',
    ])
  })

  it('the keys of a table are of the kinds that keys have', () => {
    const retries = tables('Retries.', {
      countMax: integer({ example: 3, min: 1, max: 9, text: 'How often.' }),
      pause: optional(duration({ example: '1s', min: '1ms', max: '1h', text: 'How long between two.' })),
    })
    const source = { kind: 'default' } as const
    const reading = readTables('retry', retries, [{ count_max: 2, pause: '5s' }, { count_max: 10 }], () => source)
    assert.deepEqual(reading.rows[0], { countMax: 2, pause: 5000 })
    assert.deepEqual(reading.problems.map(formatProblem), ['default: retry[1].count_max = 10: expected an integer from 1 to 9'])
    assert.deepEqual(reading.cells.map(({ path, value }) => [path, value]).slice(0, 2), [
      ['retry[0].count_max', 2],
      ['retry[0].pause', 5000],
    ])
  })
})
