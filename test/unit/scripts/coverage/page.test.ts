// SPDX-License-Identifier: Apache-2.0
// The coverage page: what it counts, and that nothing which is not covered passes for covered.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Coverage, cover, type Reason } from '../../../../scripts/coverage/page.ts'

const TESTED = { file: 'test/conformance/mqtt5/a.test.ts', title: 'MQTT-1.1.1-1 a | b', ids: ['MQTT-1.1.1-1'] }

const coverOf = (ids: readonly string[], reasons: readonly Reason[] = [], titles = [TESTED]): Coverage =>
  cover({
    ids: { mqtt5: ids, mqtt311: [] },
    reasons: { mqtt5: reasons, mqtt311: [] },
    titles,
    exists: (file) => file === 'src/there.ts',
  })
const client = (...ids: readonly string[]): Reason => ({ kind: 'client', ids, reason: 'clients do' })

test('a statement with a test or a reason is covered, and counted by what it has', () => {
  const { page, problems } = coverOf(['MQTT-1.1.1-1', 'MQTT-1.1.1-2'], [client('MQTT-1.1.1-2')])
  assert.deepEqual(problems, [])
  assert.match(page, /^\| MQTT 5.0 \| 2 \| 1 \| 1 \| 0 \| 0 \| 0 \| 0 \|$/m)
  assert.match(page, /^\| MQTT-1.1.1-1 \| a \\\| b \(`conformance\/mqtt5\/a.test.ts`\) \|$/m)
  assert.match(page, /^\| MQTT-1.1.1-2 \| _binds clients only_: clients do \|$/m)
})

test('a statement with neither is a problem, and the page says so', () => {
  const { page, problems } = coverOf(['MQTT-1.1.1-1', 'MQTT-1.1.1-2'])
  assert.deepEqual(problems, ['MQTT 5.0: MQTT-1.1.1-2 has neither a test nor a reason'])
  assert.match(page, /MQTT-1.1.1-2 \| \*\*neither/)
})

test('a title that names what there is not is a problem', () => {
  assert.match(coverOf([]).problems.join(), /names MQTT-1.1.1-1, which there is not/)
})

test('a reason must be needed, be the only one, be for something, and stand on a file that is there', () => {
  const ids = ['MQTT-1.1.1-1', 'MQTT-1.1.1-2']
  assert.match(coverOf(ids, [client(...ids)]).problems.join(), /MQTT-1.1.1-1 has tests and needs no reason/)
  assert.match(coverOf(ids, [client('MQTT-1.1.1-2'), client('MQTT-1.1.1-2')]).problems.join(), /two reasons/)
  assert.match(coverOf(ids, [client('MQTT-1.1.1-2', 'MQTT-1.1.1-3')]).problems.join(), /reason for MQTT-1.1.1-3, which there is not/)
  const built = { kind: 'construction', ids: ['MQTT-1.1.1-2'], reason: 'cannot be' } as const
  assert.match(coverOf(ids, [built]).problems.join(), /nothing says where/)
  assert.match(coverOf(ids, [{ ...built, where: ['src/gone.ts'] }]).problems.join(), /src\/gone.ts.*is not there/)
  assert.deepEqual(coverOf(ids, [{ ...built, where: ['src/there.ts'] }]).problems, [])
})
