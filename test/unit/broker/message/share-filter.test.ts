// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isShared, parseShared } from '../../../../src/broker/message/share-filter.ts'

test('a name is taken apart into its group and its filter', () => {
  assert.deepEqual(parseShared('$share/g/a/+/#'), { name: '$share/g/a/+/#', group: 'g', filter: 'a/+/#' })
  assert.deepEqual(parseShared('$share/g//'), { name: '$share/g//', group: 'g', filter: '/' })
  assert.deepEqual(parseShared('$share/$g/$SYS/x'), { name: '$share/$g/$SYS/x', group: '$g', filter: '$SYS/x' })
})

test('MQTT-4.8.2-1 MQTT-4.8.2-2 what has no group, no filter, or a wildcard in the group is none', () => {
  for (const name of ['$share', '$share/', '$share/g', '$share/g/', '$share//t', '$share///', '$share/+/t', '$share/#/t', '$share/a+b/t'])
    assert.equal(parseShared(name), undefined, name)
})

test('a filter inside must be one, and not shared again', () => {
  for (const name of ['$share/g/a#', '$share/g/#/a', '$share/g/$share/h/t']) assert.equal(parseShared(name), undefined, name)
})

test('only what begins with the whole prefix is shared', () => {
  assert.deepEqual(['$share/x', '$share', '$shared/g/t', 'a/$share/g/t', '$Share/g/t'].map(isShared), [true, false, false, false, false])
})
