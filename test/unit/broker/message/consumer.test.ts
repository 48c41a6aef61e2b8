// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LogId } from '#contract/client/engine-client'
import type { RecordBatch, RecordCursor } from '#contract/record/record-batch'
import { Consumer, type Outlet } from '../../../../src/broker/message/consumer.ts'
import { Delivery } from '../../../../src/broker/message/delivery.ts'
import { type Subscriber, SubscriptionTable, type Target } from '../../../../src/broker/message/subscription-table.ts'
import { batchOf, DURABLE, FakeShardStore, payloadOf, settled } from './shard-store-fake.ts'

/** Takes as many records as it has room for. */
class Receiver implements Outlet, Subscriber {
  readonly uid = 1
  readonly consumer: Consumer
  readonly received: string[] = []
  readonly gaps: [number, number][] = []
  readonly removals: number[] = []
  storesQos0 = false
  since = 0
  room = Number.POSITIVE_INFINITY
  failure: unknown
  readonly #store: FakeShardStore
  readonly #filter: string

  constructor(store: FakeShardStore, filter: string) {
    this.#store = store
    this.#filter = filter
    this.consumer = new Consumer(store, this)
    const table = new SubscriptionTable()
    table.add(this, { filter, qos: 1, noLocal: false, retainAsPublished: false, identifier: 0, since: [] })
    store.attach(new Delivery(table))
  }

  deliver(target: Target, log: LogId, batch: RecordBatch, cursor: RecordCursor): void {
    if (cursor.qos > 0) this.consumer.live(target, log, batch, cursor)
    else if (this.consumer.liveQos0(log, cursor.position)) this.received.push(payloadOf(batch, cursor))
  }

  filters(): readonly string[] {
    return [this.#filter]
  }

  claim(_topic: string, _log: LogId, position: number): Target | undefined {
    if (position < this.since) return undefined
    const claim = { qos: 1, retainAsPublished: false, identifiers: [] }
    return { ...claim, subscriber: this, own: claim }
  }

  offer(_target: Target, _log: LogId, batch: RecordBatch, cursor: RecordCursor): boolean {
    if (this.room === 0) return false
    this.room--
    this.received.push(payloadOf(batch, cursor))
    return true
  }

  appetiteBytes(): number {
    return 1000
  }

  get appetite(): number {
    return this.room
  }

  missed(_log: LogId, from: number, to: number): void {
    this.gaps.push([from, to])
  }

  removed(count: number): void {
    this.removals.push(count)
  }

  failed(error: unknown): void {
    this.failure = error
  }

  get end(): number {
    return this.#store.extent(DURABLE).end
  }
}

test('D5 at the tail a consumer is fed from memory: nothing is read', async () => {
  const store = new FakeShardStore()
  const receiver = new Receiver(store, 't')
  store.store(DURABLE, batchOf('t', ['a', 'b']))
  store.store(DURABLE, batchOf('t', ['c']))
  await settled()
  assert.deepEqual(receiver.received, ['a', 'b', 'c'])
  assert.deepEqual(store.reads, [])
})

test('Q20 a session is told of records that the retention of their topics has removed, once it has passed them', async () => {
  const store = new FakeShardStore()
  const read = store.read.bind(store)
  store.read = async (request) => ({ ...(await read(request)), removed: 3 })
  const receiver = new Receiver(store, 't')
  receiver.room = 1
  store.store(DURABLE, batchOf('t', ['a', 'b', 'c']))
  receiver.room = 1
  receiver.consumer.resume()
  await settled()
  assert.deepEqual(receiver.removals, [])
  receiver.room = 10
  receiver.consumer.resume()
  await settled()
  assert.deepEqual(receiver.received, ['a', 'b', 'c'])
  assert.deepEqual(receiver.removals, [3])
})

test('D5 without room a consumer keeps a position, and gets everything in order once there is room', async () => {
  const store = new FakeShardStore()
  const receiver = new Receiver(store, 't')
  receiver.room = 2
  store.store(DURABLE, batchOf('t', ['a', 'b', 'c', 'd']))
  store.store(DURABLE, batchOf('t', ['e']))
  assert.deepEqual(receiver.consumer.positions(), [{ log: DURABLE, next: 2 }])
  receiver.room = 2
  receiver.consumer.resume()
  await settled()
  assert.deepEqual(receiver.received, ['a', 'b', 'c', 'd'])
  receiver.room = 10
  receiver.consumer.resume()
  await settled()
  store.store(DURABLE, batchOf('t', ['f']))
  assert.deepEqual(receiver.received, ['a', 'b', 'c', 'd', 'e', 'f'])
  assert.deepEqual(receiver.consumer.positions(), [{ log: DURABLE, next: receiver.end }])
})

test('what is committed while a read is under way is neither lost nor delivered twice', async () => {
  const store = new FakeShardStore()
  const receiver = new Receiver(store, 't')
  receiver.room = 0
  store.store(DURABLE, batchOf('t', ['a']))
  let open = (): void => undefined
  store.readGate = new Promise((resolve) => {
    open = resolve
  })
  receiver.room = 10
  receiver.consumer.resume()
  store.store(DURABLE, batchOf('t', ['b']))
  open()
  await settled()
  store.store(DURABLE, batchOf('t', ['c']))
  assert.deepEqual(receiver.received, ['a', 'b', 'c'])
})

test('a consumer that was away begins at its cursor and skips what came before its subscription', async () => {
  const store = new FakeShardStore()
  store.store(DURABLE, batchOf('t', ['a', 'b', 'c', 'd']))
  const receiver = new Receiver(store, 't')
  receiver.since = 2
  store.readCount = 1
  receiver.consumer.restore(DURABLE, 1, 1)
  receiver.consumer.resume()
  await settled()
  assert.deepEqual(receiver.received, ['c', 'd'])
})

test('D-204 QoS 0 is sent late only where it is stored, once, and before what follows it', async () => {
  for (const stored of [false, true]) {
    const store = new FakeShardStore()
    store.store(DURABLE, batchOf('t', ['seen'], 0))
    store.store(DURABLE, batchOf('t', ['away'], 0))
    const receiver = new Receiver(store, 't')
    receiver.storesQos0 = stored
    receiver.consumer.restore(DURABLE, 0, 1)
    receiver.consumer.resume()
    store.store(DURABLE, batchOf('t', ['now'], 0))
    await settled()
    assert.deepEqual(receiver.received, stored ? ['away', 'now'] : ['now'])
  }
})

test('a closed consumer is offered nothing, not even by a read that is under way', async () => {
  const store = new FakeShardStore()
  store.store(DURABLE, batchOf('t', ['a']))
  const receiver = new Receiver(store, 't')
  receiver.consumer.restore(DURABLE, 0, 0)
  receiver.consumer.resume()
  receiver.consumer.close()
  store.store(DURABLE, batchOf('t', ['b']))
  await settled()
  assert.deepEqual(receiver.received, [])
  assert.deepEqual(receiver.consumer.positions(), [{ log: DURABLE, next: 0 }])
})

test('Q20 records that retention removed before they were read are told', async () => {
  const store = new FakeShardStore()
  store.store(DURABLE, batchOf('t', ['a', 'b', 'c']))
  const receiver = new Receiver(store, 't')
  const read = store.read.bind(store)
  store.read = async (request) => ({ ...(await read({ ...request, from: 2 })), from: 2 })
  receiver.consumer.restore(DURABLE, 0, 0)
  receiver.consumer.resume()
  await settled()
  assert.deepEqual(receiver.gaps, [[0, 2]])
  assert.deepEqual(receiver.received, ['c'])
})

test('a read that fails is the session’s end, not silence', async () => {
  const store = new FakeShardStore()
  store.store(DURABLE, batchOf('t', ['a']))
  const receiver = new Receiver(store, 't')
  const broken = new Error('the log cannot be read')
  store.read = () => Promise.reject(broken)
  receiver.consumer.restore(DURABLE, 0, 0)
  receiver.consumer.resume()
  await settled()
  assert.equal(receiver.failure, broken)
})

test('D5 a log that comes while a consumer is at the tail is followed from its first record', async () => {
  const store = new FakeShardStore()
  const receiver = new Receiver(store, 't')
  const own = store.create('t')
  store.store(own, batchOf('t', ['a']))
  receiver.room = 0
  store.store(own, batchOf('t', ['b']))
  assert.deepEqual(receiver.consumer.positions(), [{ log: own, next: 1 }])
  receiver.room = 10
  receiver.consumer.resume()
  await settled()
  assert.deepEqual(receiver.received, ['a', 'b'])
})

test('of many logs that are behind a few are read at a time, and each has its turn', async () => {
  const store = new FakeShardStore()
  const logs = Array.from({ length: 100 }, () => store.create('t'))
  for (const log of logs) store.store(log, batchOf('t', [`first of ${log}`, `second of ${log}`]))
  const receiver = new Receiver(store, 't')
  for (const log of logs) receiver.consumer.restore(log, 0, 0)
  let open = (): void => undefined
  store.readGate = new Promise((resolve) => {
    open = resolve
  })
  receiver.room = 1
  receiver.consumer.resume()
  assert.ok(store.reads.length < 20, `${store.reads.length} reads at once`)
  open()
  await settled()
  const before = store.reads.length
  receiver.room = 1
  receiver.consumer.resume()
  await settled()
  const next = store.reads[before]?.log
  assert.ok(
    store.reads.slice(0, before).every(({ log }) => log !== next),
    'one that was not read yet comes first',
  )
  receiver.room = 1000
  receiver.consumer.resume()
  await settled()
  assert.equal(new Set(receiver.received).size, 200)
  assert.equal(receiver.received.length, 200)
})

test('logs in which nothing has happened are not read', async () => {
  const store = new FakeShardStore()
  const receiver = new Receiver(store, 't')
  for (let count = 0; count < 5000; count++) receiver.consumer.restore(store.create('t'), 0, 0)
  receiver.consumer.resume()
  await settled()
  assert.deepEqual(store.reads, [])
})
