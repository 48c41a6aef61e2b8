// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Random } from '#base/port/random'
import { createSharePolicy, type SharePolicy, type SharePolicyName } from '../../../../src/broker/message/share-policy.ts'

/** Draws that a test has chosen. */
const drawing = (...draws: readonly number[]): Random => {
  const left = [...draws]
  return { range: () => left.shift() ?? 0 } as unknown as Random
}

const NONE = drawing()

/** Whom a group of `count` members asks first for messages of these topics and publishers, each of which it takes. */
const chosen = (
  policy: SharePolicy,
  count: number,
  messages: readonly (readonly [topic: string, publisher: number])[],
): readonly number[] =>
  messages.map(([topic, publisher]) => {
    const at = policy.first(count, topic, publisher)
    policy.taken(at)
    return at
  })

const same = (count: number): readonly (readonly [string, number])[] => Array.from({ length: count }, () => ['t', 1] as const)

suite('round_robin', () => {
  test('goes round', () => {
    assert.deepEqual(chosen(createSharePolicy('round_robin', NONE), 3, same(7)), [0, 1, 2, 0, 1, 2, 0])
  })

  test('goes on behind the one that took the message, when the first had no room', () => {
    const policy = createSharePolicy('round_robin', NONE)
    policy.taken(1)
    assert.equal(policy.first(3, 't', 1), 2)
  })

  test('nobody is skipped when a member leaves', () => {
    const policy = createSharePolicy('round_robin', NONE)
    policy.taken(1)
    policy.left(0)
    assert.equal(policy.first(2, 't', 1), 1)
    policy.left(1)
    assert.equal(policy.first(1, 't', 1), 0)
  })
})

test('local_first takes turns where all members are local', () => {
  assert.deepEqual(chosen(createSharePolicy('local_first', NONE), 2, same(3)), [0, 1, 0])
})

test('random draws', () => {
  assert.deepEqual(chosen(createSharePolicy('random', drawing(2, 0, 2)), 3, same(3)), [2, 0, 2])
})

suite('sticky', () => {
  test('keeps to one member', () => {
    assert.deepEqual(chosen(createSharePolicy('sticky', NONE), 3, same(4)), [0, 0, 0, 0])
  })

  test('changes to the one that has room, and stays there', () => {
    const policy = createSharePolicy('sticky', NONE)
    policy.taken(2)
    assert.deepEqual(chosen(policy, 3, same(2)), [2, 2])
  })

  test('follows its member when another leaves, and begins anew when it leaves itself', () => {
    const policy = createSharePolicy('sticky', NONE)
    policy.taken(2)
    policy.left(0)
    assert.equal(policy.first(2, 't', 1), 1)
    policy.left(1)
    assert.equal(policy.first(1, 't', 1), 0)
  })
})

suite('hashes', () => {
  const spread = (name: SharePolicyName, vary: (at: number) => readonly [string, number]): ReadonlyMap<number, number> => {
    const counts = new Map<number, number>()
    for (const at of chosen(
      createSharePolicy(name, NONE),
      4,
      Array.from({ length: 4_000 }, (_, index) => vary(index)),
    ))
      counts.set(at, (counts.get(at) ?? 0) + 1)
    return counts
  }

  const cases: readonly (readonly [SharePolicyName, (at: number) => readonly [string, number]])[] = [
    ['hash_topic', (at: number) => [`sensor/${at}/temperature`, 1]],
    ['hash_client_id', (at: number) => ['t', at + 1]],
    ['hash_client_id', (at: number) => ['t', 2 ** 40 + at * 4]],
  ]
  for (const [name, vary] of cases) {
    test(`${name} spreads what differs over all members, each a fair part (${vary(0).join(', ')}…)`, () => {
      const counts = [...spread(name, vary).values()]
      assert.equal(counts.length, 4)
      for (const count of counts) assert.ok(count > 700 && count < 1300, `${counts}`)
    })
  }

  test('hash_topic does not look at the publisher, hash_client_id not at the topic', () => {
    const byTopic = createSharePolicy('hash_topic', NONE)
    const byClient = createSharePolicy('hash_client_id', NONE)
    assert.equal(new Set(Array.from({ length: 100 }, (_, at) => byTopic.first(7, 'a/b', at))).size, 1)
    assert.equal(new Set(Array.from({ length: 100 }, (_, at) => byClient.first(7, `a/${at}`, 5))).size, 1)
  })
})
