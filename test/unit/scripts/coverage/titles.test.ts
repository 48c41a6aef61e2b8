// SPDX-License-Identifier: Apache-2.0
// Which statements a title names, for every way in which titles are written here.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { idsIn, type Title, titlesOf, versionOf } from '../../../../scripts/coverage/titles.ts'

const idsOf = (text: string): readonly (readonly string[])[] => titlesOf('test/x.test.ts', text).map(({ ids }) => ids)

test('ids of tests, groups and templates are read, one or several, in brackets or not', () => {
  const source = `
    describe('MQTT-1.1.1-1 a group', () => {
      it('[MQTT-1.1.1-2] [MQTT-1.1.1-3] two', () => {})
      test(\`MQTT-1.1.1-4 at QoS \${qos}\`, () => {})
      test('none', () => assert.ok(x, 'MQTT-1.1.1-9'))
    })`
  assert.deepEqual(idsOf(source), [['MQTT-1.1.1-1'], ['MQTT-1.1.1-2', 'MQTT-1.1.1-3'], ['MQTT-1.1.1-4']])
})

test('a range names all that are in it', () => {
  assert.deepEqual(idsIn('MQTT-4.3.2-9..11 x'), ['MQTT-4.3.2-9', 'MQTT-4.3.2-10', 'MQTT-4.3.2-11'])
})

test('a skipped test covers nothing', () => {
  assert.deepEqual(idsOf("test.skip('MQTT-1.1.1-1 later', () => {})"), [])
})

test('the rows of a table name its tests, those chosen by a condition too', () => {
  const source = `
    const ROWS = [
      ['MQTT-1.1.1-1 MQTT-1.1.1-2', 'first', 1],
      ['3.3.2', 'a section', 2],
      [isLong ? 'MQTT-1.1.1-3' : 'MQTT-1.1.1-4', \`any \${name}\`, 3],
    ]
    for (const [clause, what] of ROWS) test(\`\${clause} MQTT-2.2.2-1 \${what} is refused\`, () => {})`
  assert.deepEqual(idsOf(source), [
    ['MQTT-1.1.1-1', 'MQTT-1.1.1-2', 'MQTT-2.2.2-1'],
    ['MQTT-1.1.1-3', 'MQTT-2.2.2-1'],
    ['MQTT-1.1.1-4', 'MQTT-2.2.2-1'],
  ])
  assert.equal(titlesOf('test/x.test.ts', source)[0]?.title, 'MQTT-1.1.1-1 MQTT-1.1.1-2 MQTT-2.2.2-1 first is refused')
})

test('the folder decides of which version a statement is, then the title, then who has it', () => {
  const known = { mqtt5: new Set(['MQTT-1-1', 'MQTT-1-5']), mqtt311: new Set(['MQTT-1-1', 'MQTT-1-3']) }
  const version = (file: string, title: string, id: string) => versionOf({ file, title, ids: [id] } satisfies Title, id, known)
  assert.equal(version('test/conformance/mqtt311/a.test.ts', 'x', 'MQTT-1-1'), 'mqtt311')
  assert.equal(version('test/conformance/mqtt5/a.test.ts', 'as in 3.1.1', 'MQTT-1-1'), 'mqtt5')
  assert.equal(version('test/unit/a.test.ts', 'x', 'MQTT-1-1'), 'mqtt5')
  assert.equal(version('test/unit/a.test.ts', '3.1.1 x', 'MQTT-1-1'), 'mqtt311')
  assert.equal(version('test/unit/a.test.ts', 'x', 'MQTT-1-3'), 'mqtt311')
  assert.equal(version('test/conformance/mqtt5/a.test.ts', 'x', 'MQTT-1-3'), undefined)
  assert.equal(version('test/unit/a.test.ts', 'x', 'MQTT-1-9'), undefined)
})
