// SPDX-License-Identifier: Apache-2.0
// Names with a prefix, taken apart.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDelayedName } from '../../../../src/broker/message/delayed-name.ts'
import { parseFilterName } from '../../../../src/broker/message/filter-name.ts'

test('a delayed name is seconds and a topic, which may have any shape', () => {
  assert.deepEqual(parseDelayedName('$delayed/5/a/b'), { delaySeconds: 5, topic: 'a/b' })
  assert.deepEqual(parseDelayedName('$delayed/0/a'), { delaySeconds: 0, topic: 'a' })
  assert.deepEqual(parseDelayedName('$delayed/4294967//a\nb/'), { delaySeconds: 4_294_967, topic: '/a\nb/' })
})

test('what has no seconds, too many of them, no topic, or two delays is malformed', () => {
  const malformed = ['$delayed', '$delayed/', '$delayed/5', '$delayed/5/', '$delayed//a', '$delayed/-1/a', '$delayed/1.5/a', '$delayed/x/a']
  for (const name of [...malformed, '$delayed/4294968/a', '$delayed/00000001/a', '$delayed/5/$delayed/5/a']) {
    assert.equal(parseDelayedName(name), undefined, name)
  }
})

test('the prefix of a filter says how it is had; what is malformed keeps its name', () => {
  assert.deepEqual(parseFilterName('a/+'), { prefix: '', filter: 'a/+', exclusive: false })
  assert.deepEqual(parseFilterName('$SYS/#'), { prefix: '', filter: '$SYS/#', exclusive: false })
  assert.deepEqual(parseFilterName('$exclusive/a/+'), { prefix: '$exclusive/', filter: 'a/+', exclusive: true })
  assert.deepEqual(parseFilterName('$share/g/a/#'), { prefix: '$share/g/', filter: 'a/#', exclusive: false })
  assert.deepEqual(parseFilterName('$share/g'), { prefix: '', filter: '$share/g', exclusive: false })
})
