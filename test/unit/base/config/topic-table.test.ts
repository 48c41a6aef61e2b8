// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { loadConfig } from '#base/config/load'
import { formatProblem } from '#base/config/problem'
import { readTopicTable } from '#base/config/topic-table'

const problemsOf = (table: Readonly<Record<string, unknown>>): readonly string[] => {
  const reading = readTopicTable('raw', table)
  return reading.kind === 'refused' ? reading.problems.map(formatProblem) : []
}

describe('a [[topic]] table that is not from a file', () => {
  it('means what it would mean in one', () => {
    const table = { filter: 'a/#', storage: 'segment', model: 'independent', max_age: '1h', max_bytes: '2KiB', offline: true }
    const file = loadConfig({ file: { name: 'config.toml', text: '', table: { topic: [table] } } })
    assert.ok(file.kind === 'loaded')
    assert.deepEqual(readTopicTable('raw', table), { kind: 'read', row: file.config.topic[0] })
  })

  it('is refused as it would be there, with every mistake', () => {
    const table = { storage: 'tape', max_age: '1', max_bites: 5 }
    const file = loadConfig({ file: { name: 'config.toml', text: '', table: { topic: [table] } } })
    assert.ok(file.kind === 'refused')
    const inFile = file.problems.map((problem) => formatProblem(problem).replace('config.toml: topic[0].', "topic settings 'raw': "))
    assert.equal(inFile.length, 4)
    assert.deepEqual(problemsOf(table), inFile)
  })
})
