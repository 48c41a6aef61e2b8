// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type RecordBatch, RecordCursor } from '#contract/record/record-batch'
import { ShardRouter } from '#storage'
import { type OutgoingMessage, Publisher } from '../../../../src/broker/message/publish.ts'
import { DURABLE, FakeShardStore, PASSING, payloadOf } from './shard-store-fake.ts'

const EMPTY = Buffer.alloc(0)

function setUp() {
  const store = new FakeShardStore()
  const turns: (() => void)[] = []
  const clock = {
    monotonic: () => 0,
    realtime: () => 0,
    after: () => ({ cancel: () => undefined }),
    endOfTurn: (fire: () => void) => void turns.push(fire),
  }
  const router = new ShardRouter(store, { storage: 'rocksdb', model: 'shared', offline: true, storeQos0: false }, [
    { filter: 'own/#', model: 'independent' },
  ])
  const publisher = new Publisher(store, clock, () => router.placeAgain())
  const settled: string[] = []
  const publish = (text: string, options: Partial<OutgoingMessage> = {}): void => {
    const message = {
      topic: 't',
      qos: 1,
      retain: false,
      publisher: 1,
      expiryMs: 0,
      sequence: -1,
      headers: EMPTY,
      payload: Buffer.from(text),
      ...options,
    }
    publisher.publishMessage(router.shard(message.topic), message, { published: (_tag, { kind }) => settled.push(`${text} ${kind}`) }, 0)
  }
  const endTurn = (): void => {
    for (const fire of turns.splice(0)) fire()
  }
  return { store, publisher, publish, endTurn, settled }
}

function payloads(batch: RecordBatch): string[] {
  const cursor = new RecordCursor()
  cursor.reset(batch)
  const texts: string[] = []
  while (cursor.next()) texts.push(payloadOf(batch, cursor))
  return texts
}

test('the messages of a turn are one batch for each log', () => {
  const { store, publish, endTurn } = setUp()
  publish('a')
  publish('b', { topic: 'u' })
  publish('c', { qos: 0 })
  assert.equal(store.appends.length, 0)
  endTurn()
  assert.deepEqual(
    store.appends.map(({ log, batch }) => [log, payloads(batch)]),
    [
      [DURABLE, ['a', 'b']],
      [PASSING, ['c']],
    ],
  )
})

test('D7 while appends are under way the next batch grows, and leaves when one is done', () => {
  const { store, publish, endTurn, settled } = setUp()
  for (const text of ['a', 'b', 'c', 'd', 'e']) {
    publish(text)
    endTurn()
  }
  assert.equal(store.appends.length, 2)
  store.commit()
  assert.deepEqual(
    store.appends.map(({ batch }) => payloads(batch)),
    [['b'], ['c', 'd', 'e']],
  )
  store.commit()
  store.commit()
  assert.deepEqual(
    settled,
    ['a', 'b', 'c', 'd', 'e'].map((text) => `${text} appended`),
  )
})

test('Q1 nobody is told before the append is done, and everybody is told what became of it', () => {
  const { store, publish, endTurn, settled, publisher } = setUp()
  publish('a')
  publish('b')
  endTurn()
  assert.deepEqual(settled, [])
  assert.ok(publisher.pendingBytes > 0)
  store.appends.shift()?.done({ kind: 'unknown' })
  assert.deepEqual(settled, ['a unknown', 'b unknown'])
  assert.equal(publisher.pendingBytes, 0)
})

test('Q18 a retained message does not overtake what came before it to the other log', () => {
  const { store, publish, endTurn } = setUp()
  for (const text of ['a', 'b', 'c']) publish(text, { qos: 1 })
  publish('d', { qos: 0 })
  publish('e', { qos: 0, retain: true })
  publish('f', { qos: 0, retain: true })
  endTurn()
  assert.deepEqual(
    store.appends.map(({ log, batch }) => [log, payloads(batch)]),
    [
      [PASSING, ['d']],
      [DURABLE, ['a', 'b', 'c', 'e', 'f']],
    ],
  )
})

test('Q18 what follows a retained message goes to the same log until that is stored: nothing overtakes it', () => {
  const { store, publish, endTurn } = setUp()
  publish('retained', { qos: 0, retain: true })
  publish('after', { qos: 0 })
  publish('elsewhere', { qos: 0, topic: 'u' })
  endTurn()
  const logOf = (text: string): number | undefined => store.appends.find(({ batch }) => payloads(batch).includes(text))?.log
  assert.equal(logOf('after'), DURABLE)
  assert.equal(logOf('elsewhere'), PASSING)
  while (store.appends.length > 0) store.commit()
  publish('later', { qos: 0 })
  endTurn()
  assert.equal(logOf('later'), PASSING)
})

test('a large batch leaves before the end of the turn', () => {
  const { store, publish } = setUp()
  publish('x'.repeat(300_000))
  assert.equal(store.appends.length, 1)
})

test('D2 a topic with a log of its own is appended there, from its first message on', () => {
  const { store, publish, endTurn } = setUp()
  publish('a', { topic: 'own/1' })
  publish('b', { topic: 'own/2' })
  publish('c', { topic: 'own/1' })
  publish('d')
  endTurn()
  const [own1, own2] = store.logs().slice(2)
  assert.deepEqual([own1?.topic, own2?.topic], ['own/1', 'own/2'])
  assert.deepEqual(
    store.appends.map(({ log, batch }) => [log, payloads(batch)]),
    [
      [own1?.id, ['a', 'c']],
      [own2?.id, ['b']],
      [DURABLE, ['d']],
    ],
  )
})

test('what was on its way to a log that is removed is rejected, and what follows goes to a new one', () => {
  const { store, publish, endTurn, settled } = setUp()
  publish('lost', { topic: 'own/1' })
  endTurn()
  const old = store.appends[0]?.log as number
  store.remove(old)
  assert.deepEqual(settled, ['lost rejected'])
  publish('next', { topic: 'own/1' })
  endTurn()
  assert.notEqual(store.appends[0]?.log, old)
  store.commit()
  assert.deepEqual(settled, ['lost rejected', 'next appended'])
})
