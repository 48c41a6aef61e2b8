// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { matches } from '#base/topic-filter'
import { FilterSet } from '../../../../src/engine/log/filter-set.ts'
import { Topic } from '../../../../src/engine/log/topic.ts'
import { TopicDictionary } from '../../../../src/engine/log/topic-dictionary.ts'
import { TopicTrie } from '../../../../src/engine/log/topic-trie.ts'

const level = fc.constantFrom('a', 'b', '', '$s', 'c')
const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'))
const filter = fc
  .array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 4 })
  .chain((levels) => fc.constantFrom([...levels.slice(1), '#'], [...levels, '#'], ['+', ...levels], levels))
  .map((levels) => levels.join('/'))

test('D6: the trie finds exactly the topics that match, while topics come and go', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(topic, { maxLength: 40 }),
      fc.array(fc.nat()),
      fc.array(filter, { maxLength: 10 }),
      (names, gone, filters) => {
        const trie = new TopicTrie()
        const topics = new Map(names.map((name, id) => [name, new Topic(id, name, 0, 0)]))
        for (const one of topics.values()) trie.add(one)
        for (const at of gone) {
          const name = names[at % Math.max(names.length, 1)]
          const one = name === undefined ? undefined : topics.get(name)
          if (one === undefined) continue
          trie.remove(one)
          topics.delete(one.name)
        }
        for (const one of filters) {
          const found = trie.match(one, 10_000)?.map(({ name }) => name)
          assert.deepEqual(found?.sort(), [...topics.keys()].filter((name) => matches(one, name)).sort(), one)
        }
      },
    ),
    { numRuns: 500, seed: 20_260_104 },
  )
})

test('D6: a search gives up instead of looking at too much', () => {
  const dictionary = new TopicDictionary()
  for (let at = 0; at < 20_000; at++) dictionary.touch(`d/${at}/t`, at)
  assert.equal(dictionary.select(new FilterSet(['d/+/t']), 0, 256), undefined)
  assert.equal(dictionary.select(new FilterSet(['+/7/x']), 0, 256)?.length, 0)
  assert.deepEqual(
    dictionary.select(new FilterSet(['d/7/+', 'd/8/t', 'd/9/#']), 0, 256)?.map(({ name }) => name),
    ['d/8/t', 'd/7/t', 'd/9/t'],
  )
  assert.equal(dictionary.select(new FilterSet(['d/7/+']), 8, 256)?.length, 0)
  // Recent topics are found without the trie, however many there are in all.
  assert.equal(dictionary.select(new FilterSet(['#']), 19_900, 256)?.length, 100)
})

test('topics are dropped when all their records are gone, and get a new id when they return', () => {
  const dictionary = new TopicDictionary()
  const first = dictionary.touch('a', 0)
  dictionary.touch('b', 1)
  dictionary.touch('c', 2)
  dictionary.touch('b', 3)
  assert.deepEqual(
    dictionary.removeBefore(3, 10).map(({ name }) => name),
    ['a', 'c'],
  )
  assert.equal(dictionary.size, 1)
  assert.equal(dictionary.byId(first.id), undefined)
  assert.notEqual(dictionary.touch('a', 4).id, first.id)
  assert.deepEqual(
    [...dictionary.recent(0)].map(({ name }) => name),
    ['a', 'b'],
  )
})
