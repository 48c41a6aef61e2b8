// SPDX-License-Identifier: Apache-2.0
// Delayed publish over a real meta node and a log whose commits the test makes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Logger } from '#base/port/logger'
import type { AppendOutcome } from '#contract/client/engine-client'
import { ATTRIBUTE, RecordCursor } from '#contract/record/record-batch'
import { ShardRouter } from '#storage'
import { DelayedMessages, type DelayedPermission, type DelayedPublish } from '../../../../src/broker/message/delayed.ts'
import { Publisher } from '../../../../src/broker/message/publish.ts'
import { createMetaNode, type MetaNode } from '../../meta/meta-node.ts'
import { ManualClock } from '../../raft/log/manual-clock.ts'
import { FakeShardStore, PASSING, payloadOf } from './shard-store-fake.ts'

const NONE = Buffer.alloc(0)
const SILENT: Logger = { log: () => undefined, scope: () => SILENT }
const LIMITS = { delayedMax: 1_000_000, delayedMessagesMax: 1_000 }

/** A log that remembers sequences, and what it was told to forget. */
class SequencedStore extends FakeShardStore {
  readonly released: number[] = []

  override async release(_publisher?: number, sequence?: number): Promise<boolean> {
    this.released.push(sequence as number)
    return true
  }
}

async function setUp(meta?: MetaNode, limits = LIMITS, mayPublish: DelayedPermission = () => true) {
  const node = meta ?? (await createMetaNode({ dataGroups: 2 }))
  const clock = new ManualClock()
  const probe = { reached: () => undefined, fault: () => false }
  const store = new SequencedStore()
  const router = new ShardRouter(store, { storage: 'rocksdb', model: 'shared', offline: true, storeQos0: false }, [])
  const publisher = new Publisher(store, clock, () => {})
  const delayed = new DelayedMessages(node.service.delayed, publisher, router, store, { clock, probe }, SILENT, limits, mayPublish)
  const outcomes: string[] = []
  const accept = async (text: string, delaySeconds: number, changes: Partial<DelayedPublish> = {}): Promise<void> => {
    const message = { topic: 't', qos: 1, retain: false, publisher: 7, clientId: 'c', messageExpirySeconds: undefined, headers: NONE }
    const published = (_tag: number, outcome: AppendOutcome): void => {
      outcomes.push(`${text} ${outcome.kind}`)
    }
    delayed.accept({ ...message, payload: Buffer.from(text), delaySeconds, packetId: undefined, ...changes }, { published }, 0)
    await node.idle()
  }
  /** Lets time pass until everything that follows from it has come to rest. */
  const pass = async (seconds: number): Promise<void> => {
    clock.advance(seconds * 1000)
    await node.idle()
  }
  return { node, clock, store, delayed, outcomes, accept, pass }
}

/** What is being appended, and commits it. */
async function commitAll(store: FakeShardStore, node: MetaNode) {
  const records: { topic: string; text: string; publisher: number; sequence: number; expiryMs: number; retain: boolean; log: number }[] = []
  while (store.appends.length > 0) {
    for (const append of [...store.appends]) {
      const cursor = new RecordCursor()
      cursor.reset(append.batch)
      while (cursor.next()) {
        const { publisher, sequence, expiryMs, attributes } = cursor
        const retain = (attributes & ATTRIBUTE.retain) !== 0
        const topic = append.batch.topics[cursor.topic] as string
        records.push({ topic, text: payloadOf(append.batch, cursor), publisher, sequence, expiryMs, retain, log: append.log })
      }
      store.commit(append)
    }
    await node.idle()
  }
  return records
}

test('a message is acknowledged when meta has it, published when its time has come and not before, and then gone', async () => {
  const { node, store, delayed, outcomes, accept, pass } = await setUp()
  await delayed.start(async () => [])
  for (const group of node.data) group.held = true
  await accept('a', 10, { retain: true })
  assert.deepEqual([outcomes, delayed.count], [[], 1])
  for (const group of node.data) group.release()
  await node.idle()
  assert.deepEqual(outcomes, ['a appended'])
  await pass(9.999)
  assert.equal(store.appends.length, 0)
  await pass(0.001)
  const [record, ...others] = await commitAll(store, node)
  assert.deepEqual([record?.topic, record?.text, record?.publisher, record?.retain, others.length], ['t', 'a', 7, true, 0])
  assert.deepEqual(await delayed.list(undefined, 10), [])
  assert.deepEqual([store.released, delayed.count], [[record?.sequence], 0])
})

test('messages come in the order of their times; the life of a message begins with its publication', async () => {
  const { node, store, delayed, accept, pass } = await setUp()
  await delayed.start(async () => [])
  await accept('late', 20, { messageExpirySeconds: 5, publisher: 8 })
  await accept('early', 10)
  await accept('early too', 10)
  await pass(30)
  const records = await commitAll(store, node)
  assert.deepEqual(
    records.map(({ text, expiryMs }) => [text, expiryMs]),
    [
      ['early', 0],
      ['early too', 0],
      ['late', 35_000],
    ],
  )
})

test('after a crash between the append and its removal the message is appended again, under the same sequence', async () => {
  const first = await setUp()
  await first.delayed.start(async () => [])
  await first.accept('a', 10)
  await first.pass(10)
  const sequence = (() => {
    const cursor = new RecordCursor()
    cursor.reset(first.store.appends[0]?.batch as never)
    cursor.next()
    return cursor.sequence
  })()
  const second = await setUp(first.node)
  second.clock.advance(60_000)
  const started = second.delayed.start(async () => [])
  await second.node.idle()
  const [record] = await commitAll(second.store, second.node)
  await started
  assert.equal(record?.sequence, sequence)
  assert.ok(sequence >= 0x8000_0000, 'it never meets a packet id, nor the sequence of a will')
  const third = await setUp(first.node)
  third.clock.advance(60_000)
  await third.delayed.start(async () => [])
  assert.equal(third.store.appends.length, 0)
})

test('QoS 0 is taken before it is published: it never comes twice', async () => {
  const { node, store, delayed, accept, pass } = await setUp()
  await delayed.start(async () => [])
  await accept('a', 1, { qos: 0 })
  await pass(1)
  assert.equal((await delayed.list(undefined, 1)).length, 0)
  const [record] = await commitAll(store, node)
  assert.deepEqual([record?.log, record?.sequence], [PASSING, -1])
})

test('D14 a repeated packet id stores nothing until it is released; sessions that have ended leave none behind', async () => {
  const { node, delayed, accept, outcomes } = await setUp()
  await delayed.start(async () => [])
  await accept('a', 10, { qos: 2, packetId: 5 })
  await accept('a', 10, { qos: 2, packetId: 5 })
  assert.deepEqual([outcomes, delayed.count, delayed.unreleased(7)], [['a appended', 'a appended'], 1, [5]])
  await delayed.release(7, 5)
  assert.deepEqual(delayed.unreleased(7), [])
  await accept('b', 10, { qos: 2, packetId: 5 })
  assert.equal(delayed.count, 2)

  const again = await setUp(node)
  await again.delayed.start(async (after) => (after === undefined ? [{ tenant: 'default', clientId: 'c', uid: 7 }] : []))
  assert.deepEqual(again.delayed.unreleased(7), [5])
  const ended = await setUp(node)
  await ended.delayed.start(async () => [])
  assert.deepEqual([ended.delayed.unreleased(7), await node.service.delayed.receipts()], [[], []])
})

test('a session is forgotten only when no message of it is half published', async () => {
  const { node, store, delayed, accept, pass } = await setUp()
  await delayed.start(async () => [])
  await accept('a', 1)
  await pass(1)
  let forgotten = false
  const forgetting = delayed.forget([7]).then(() => {
    forgotten = true
  })
  await delayed.forget([8])
  assert.equal(forgotten, false)
  await commitAll(store, node)
  await forgetting
})

test('limits: a delay too long, one message too many', async () => {
  const { delayed, outcomes, accept } = await setUp(undefined, { delayedMax: 10_000, delayedMessagesMax: 2 })
  await delayed.start(async () => [])
  await accept('too long', 11)
  await accept('a', 10)
  await accept('b', 10)
  await accept('one too many', 10)
  assert.deepEqual(outcomes, ['too long rejected', 'a appended', 'b appended', 'one too many rejected'])
  delayed.setLimits({ delayedMax: 60_000, delayedMessagesMax: 3 })
  await accept('c', 60)
  assert.equal(outcomes.at(-1), 'c appended')
})

test('Q1 an outcome that is not known is told as such; what fails is tried again', async () => {
  const { node, store, delayed, outcomes, accept, pass } = await setUp()
  await delayed.start(async () => [])
  const refuse = (code: (typeof ERROR_CODES)['outcomeUnknown'] | undefined): void => {
    for (const group of node.data) group.refusal = code && new PlatformError(code, 'refused by the test')
  }
  refuse(ERROR_CODES.outcomeUnknown)
  await accept('a', 1)
  refuse(ERROR_CODES.proposalDropped)
  await accept('b', 1)
  assert.deepEqual(outcomes, ['a unknown', 'b rejected'])
  refuse(undefined)
  await accept('c', 1)
  await pass(1)
  refuse(ERROR_CODES.proposalDropped)
  await commitAll(store, node)
  assert.equal((await delayed.list(undefined, 10)).length, 1)
  refuse(undefined)
  await pass(1)
  await commitAll(store, node)
  assert.equal((await delayed.list(undefined, 10)).length, 0)
})

test('what waits can be listed and cancelled', async () => {
  const { node, store, delayed, accept, pass } = await setUp()
  await delayed.start(async () => [])
  await accept('a', 10, { topic: 'x', publisher: 8 })
  await accept('bb', 5)
  const [first, second] = await delayed.list(undefined, 10)
  assert.deepEqual([first?.topic, first?.sizeBytes, second?.topic, second?.publisher, second?.clientId], ['t', 2, 'x', 8, 'c'])
  assert.deepEqual(await delayed.list(first, 10), [second])
  assert.ok(first !== undefined)
  assert.deepEqual([await delayed.cancel(first), await delayed.cancel(first)], [true, false])
  await pass(20)
  assert.deepEqual(
    (await commitAll(store, node)).map(({ text }) => text),
    ['a'],
  )
})

test('Q22 a message whose author may not publish it any more is dropped when it comes due, and by whom it was given is known', async () => {
  const asked: string[] = []
  const { node, store, delayed, accept, pass } = await setUp(undefined, LIMITS, ({ topic, clientId, author }) => {
    asked.push(`${topic} ${clientId} ${author?.userName} ${author?.source} ${author?.address}`)
    return topic !== 'secret'
  })
  await delayed.start(async () => [])
  const author = { userName: 'ann', source: 'certificate', address: '192.0.2.7' } as const
  await accept('no', 1, { topic: 'secret', author })
  await accept('nor this', 1, { topic: 'secret', qos: 0 })
  await accept('yes', 1, { topic: 'open', author })
  assert.deepEqual(asked, [])
  await pass(1)
  assert.deepEqual(
    (await commitAll(store, node)).map(({ text }) => text),
    ['yes'],
  )
  assert.deepEqual(asked, [
    'secret c ann certificate 192.0.2.7',
    'secret c undefined undefined undefined',
    'open c ann certificate 192.0.2.7',
  ])
  assert.deepEqual(await delayed.list(undefined, 10), [])
  await delayed.forget([7])
})
