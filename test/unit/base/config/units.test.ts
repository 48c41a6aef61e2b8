// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatDuration, parseDuration } from '#base/config/duration'
import { editDistance, nearest } from '#base/config/nearest'
import { formatSize, parseSize } from '#base/config/size'
import { tomlLines } from '#base/config/toml-lines'

describe('durations', () => {
  it('are a whole number and a unit', () => {
    assert.deepEqual(['10ms', '10s', '10m', '10h', '10d', '0s'].map(parseDuration), [10, 10_000, 600_000, 36_000_000, 864_000_000, 0])
    for (const text of ['', '10', 's', '1.5s', '-1s', '10 s', '10S', '1h30m', '1w', '999999999999999d', '1e3s']) {
      assert.equal(parseDuration(text), undefined, text)
    }
  })

  it('are written in the largest unit that fits', () => {
    assert.deepEqual([0, 1, 1500, 60_000, 65_535_000, 86_400_000, 90_000_000].map(formatDuration), [
      '0ms',
      '1ms',
      '1500ms',
      '1m',
      '65535s',
      '1d',
      '25h',
    ])
  })
})

describe('sizes', () => {
  it('are a whole number and a binary unit, or bytes', () => {
    assert.deepEqual(['0', '7', '7B', '7KiB', '2MiB', '1GiB', '1TiB'].map(parseSize), [0, 7, 7, 7168, 2 ** 21, 2 ** 30, 2 ** 40])
    for (const text of ['', '1MB', '1mib', '1.5MiB', '-1', '1 MiB', '1e3', '999999999TiB']) assert.equal(parseSize(text), undefined, text)
  })

  it('are written in the largest unit that fits', () => {
    assert.deepEqual([0, 1000, 1024, 3 * 2 ** 20, 2 ** 30 + 1024].map(formatSize), ['0B', '1000B', '1KiB', '3MiB', '1048577KiB'])
  })
})

describe('the nearest name', () => {
  it('counts insertions, deletions, replacements and swaps', () => {
    assert.equal(editDistance('', 'abc'), 3)
    assert.equal(editDistance('kitten', 'sitting'), 3)
    assert.equal(editDistance('max_qso', 'max_qos'), 1)
    assert.equal(editDistance('same', 'same'), 0)
  })

  it('is undefined when nothing is near, and for names no one mistypes', () => {
    assert.equal(nearest('weather', ['mqtt.bind', 'log.level']), undefined)
    assert.equal(nearest('x'.repeat(10_000), ['mqtt.bind']), undefined)
  })
})

describe('lines of a TOML text', () => {
  it('finds keys in sections, dotted and quoted, and none inside strings of several lines', () => {
    const text = [
      '# [not.a.section]',
      'a = 1',
      'mqtt.max_qos = 2 # b = 3',
      'text = """',
      'fake = 1',
      '[fake]',
      '"""',
      'short = """one line"""',
      '[ engine . "retention" ]',
      '  \'max_age\' = "1s"',
      'a = 2',
    ].join('\r\n')
    assert.deepEqual(Object.fromEntries(tomlLines(text)), {
      a: 2,
      'mqtt.max_qos': 3,
      text: 4,
      short: 8,
      'engine.retention': 9,
      'engine.retention.max_age': 10,
      'engine.retention.a': 11,
    })
  })

  it('counts the tables of a list, and knows to which one a section below the list belongs', () => {
    const text = [
      '[[topic]]',
      'filter = 1',
      '[[ topic ]]',
      'filter = 2',
      '[topic.limit]',
      'rate = 3',
      '[[topic.rule]]',
      '[[topic.rule]]',
      'x = 4',
      '[mqtt]',
    ]
    assert.deepEqual(Object.fromEntries(tomlLines(text.join('\n'))), {
      topic: 1,
      'topic[0]': 1,
      'topic[0].filter': 2,
      'topic[1]': 3,
      'topic[1].filter': 4,
      'topic[1].limit': 5,
      'topic[1].limit.rate': 6,
      'topic[1].rule': 7,
      'topic[1].rule[0]': 7,
      'topic[1].rule[1]': 8,
      'topic[1].rule[1].x': 9,
      mqtt: 10,
    })
  })
})
