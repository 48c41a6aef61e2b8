// SPDX-License-Identifier: Apache-2.0
// A shared group between a consumer and members that do what the test says.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { LogId, Position } from '#contract/client/engine-client'
import type { ShareConsumer } from '#contract/client/share-client'
import { ATTRIBUTE, type RecordBatch, RecordBatchBuilder, RecordCursor } from '#contract/record/record-batch'
import type { Session, Subscription } from '#contract/record/session'
import type { CursorSaver, CursorSource } from '../../../../src/broker/message/cursor-saver.ts'
import { parseShared, type SharedFilter } from '../../../../src/broker/message/share-filter.ts'
import { ShareGroup, type ShareMember } from '../../../../src/broker/message/share-group.ts'
import { createSharePolicy } from '../../../../src/broker/message/share-policy.ts'
import { mergeClaims, type Subscriber, type Target } from '../../../../src/broker/message/subscription-table.ts'
import { ManualClock } from '../../engine/engine-node.ts'

const LOG = 0

class NotingConsumer implements ShareConsumer {
  readonly finished: Position[] = []
  readonly returned: Position[] = []
  resumed = 0

  finish(_log: LogId, position: Position): void {
    this.finished.push(position)
  }

  handBack(_log: LogId, positions: readonly Position[]): void {
    this.returned.push(...positions)
  }

  resume(): void {
    this.resumed++
  }

  progress(logs: Iterable<LogId> = [LOG, 1]) {
    const all = [
      { log: LOG, next: 7, open: [3, 5] },
      { log: 1, next: 9, open: [] },
    ]
    return all.filter(({ log }) => [...logs].includes(log))
  }

  close(): void {}
}

class Member implements ShareMember, Subscriber {
  readonly uid: number
  readonly persistent: boolean
  readonly appetiteBytes = 1000
  readonly got: Position[] = []
  hasRoom = true

  constructor(uid: number, persistent = false) {
    this.uid = uid
    this.persistent = persistent
  }

  deliver(): void {}

  offer(_target: Target, _log: LogId, _batch: RecordBatch, cursor: RecordCursor): boolean {
    if (this.hasRoom) this.got.push(cursor.position)
    return this.hasRoom
  }

  target(qos: number): Target {
    const subscription: Subscription = { filter: '$share/g/t', qos, noLocal: false, retainAsPublished: false, identifier: 0, since: [] }
    return mergeClaims(this, [subscription])
  }
}

function createGroup() {
  const consumer = new NotingConsumer()
  const clock = new ManualClock()
  const marked: CursorSource[] = []
  const counts = { queueFull: 0, retention: 0, expired: 0 }
  const told: string[] = []
  const counting = (name: keyof typeof counts) => ({
    add: (by: number): void => {
      counts[name] += by
    },
  })
  const logger = { log: () => {}, scope: () => logger }
  const group = new ShareGroup(
    1,
    parseShared('$share/g/t') as SharedFilter,
    createSharePolicy('round_robin', { range: () => 0 } as never),
    {
      clock,
      logger,
      metrics: {
        droppedQueueFull: counting('queueFull'),
        droppedRetention: counting('retention'),
        droppedExpired: counting('expired'),
      },
      events: { isOn: () => true, tell: (_kind, _client, { share, reason, count }) => void told.push(`${share} ${reason} ${count}`) },
      seats: { count: 0 },
      saver: { mark: (source: CursorSource) => marked.push(source), forget: () => {} } as unknown as CursorSaver,
      durableLogs: new Set([LOG]),
    },
  )
  group.attach(consumer)
  /** Offers one record; its position is the number of records before it. */
  let next = 0
  const offer = (qos: number, expiryMs = 0): boolean => {
    const builder = new RecordBatchBuilder()
    builder.append(
      builder.topic('t'),
      qos | (expiryMs === 0 ? 0 : ATTRIBUTE.expiry),
      1,
      expiryMs,
      -1,
      Buffer.alloc(0),
      Buffer.from('x'),
      0,
      1,
    )
    const batch = builder.build()
    batch.stamp(next, 0, 1)
    const cursor = new RecordCursor()
    cursor.reset(batch)
    cursor.next()
    const taken = group.offer(LOG, batch, cursor)
    if (taken) next++
    return taken
  }
  return { group, consumer, clock, counts, marked, offer }
}

const RECORD: Session = {
  tenant: '$share',
  clientId: '$share/g/t',
  uid: 50,
  epoch: 2,
  owner: undefined,
  expirySeconds: 1,
  disconnectedAtMs: 0,
  will: undefined,
}

suite('offering', () => {
  test('a member without room is passed over, in its turn', () => {
    const { group, offer } = createGroup()
    const [a, b, c] = [new Member(1), new Member(2), new Member(3)]
    for (const member of [a, b, c]) group.seat(member, member.target(1))
    b.hasRoom = false
    for (let count = 0; count < 4; count++) assert.ok(offer(1))
    assert.deepEqual([a.got, b.got, c.got], [[0, 2], [], [1, 3]])
  })

  test('when nobody has room the record waits; a member that comes makes the group go on', () => {
    const { group, consumer, offer } = createGroup()
    const a = new Member(1)
    group.seat(a, a.target(1))
    a.hasRoom = false
    assert.equal(offer(1), false)
    const before = consumer.resumed
    const b = new Member(2)
    group.seat(b, b.target(1))
    assert.equal(consumer.resumed, before + 1)
  })

  test('a group whose members are all away waits; one that was only granted QoS 0 drops, and counts', () => {
    const { group, counts, offer } = createGroup()
    const a = new Member(1, true)
    group.seat(a, a.target(1))
    group.seatAway(1, 1)
    assert.equal(offer(1), false)
    assert.ok(offer(0), 'QoS 0 does not wait')
    group.seatAway(1, 0)
    assert.ok(offer(1))
    assert.equal(counts.queueFull, 2)
  })

  test('what is sent at QoS 0 is done with at once', () => {
    const { group, consumer, offer } = createGroup()
    const [low, high] = [new Member(1), new Member(2)]
    group.seat(low, low.target(0))
    group.seat(high, high.target(2))
    offer(1)
    offer(1)
    assert.deepEqual(consumer.finished, [0])
  })

  test('MQTT-4.8.2-5 QoS 2 to a session that ends with its connection is never given back', () => {
    const { group, consumer, offer } = createGroup()
    const [passing, lasting] = [new Member(1, false), new Member(2, true)]
    group.seat(passing, passing.target(2))
    group.seat(lasting, lasting.target(2))
    offer(2)
    offer(2)
    assert.deepEqual(consumer.finished, [0])
    group.giveUp([
      { log: LOG, position: 1, qos: 2 },
      { log: LOG, position: 4, qos: 1 },
      { log: LOG, position: 2, qos: 1 },
    ])
    assert.deepEqual(
      [consumer.finished, consumer.returned],
      [
        [0, 1],
        [4, 2],
      ],
    )
  })

  test('MQTT-3.3.2-5 a message whose time ran out is nobody’s', () => {
    const { group, consumer, clock, offer } = createGroup()
    const a = new Member(1)
    group.seat(a, a.target(1))
    assert.ok(offer(1, clock.nowMs))
    assert.deepEqual([a.got, consumer.finished], [[], [0]])
  })

  test('a subscription that is changed keeps its place among the members', () => {
    const { group, offer } = createGroup()
    const [a, b] = [new Member(1), new Member(2)]
    group.seat(a, a.target(1))
    group.seat(b, b.target(1))
    group.seat(a, a.target(2))
    assert.equal(group.memberCount, 2)
    offer(1)
    assert.deepEqual(a.got, [0])
  })
})

suite('clients that are away', () => {
  test('Q17 release gives QoS 1 to others and keeps QoS 2 for the client', () => {
    const { group, consumer } = createGroup()
    group.hold(1, [
      { log: LOG, position: 1, qos: 1 },
      { log: LOG, position: 2, qos: 2 },
    ])
    group.release(1)
    assert.deepEqual(consumer.returned, [1])
    assert.deepEqual(group.takeHeld(1), [{ log: LOG, position: 2, qos: 2 }])
    assert.deepEqual(group.held(1), [])
  })

  test('a client that is away counts as a member, and as one whose session lasts', () => {
    const { group } = createGroup()
    const a = new Member(1, true)
    group.seat(a, a.target(1))
    group.seatAway(1, 1)
    assert.deepEqual([group.memberCount, group.persistentCount], [1, 1])
    group.unseat(1)
    assert.deepEqual([group.memberCount, group.persistentCount], [0, 0])
  })
})

suite('what is saved', () => {
  test('the cursors of durable logs, with what is handed out', () => {
    const { group } = createGroup()
    group.record = RECORD
    assert.deepEqual(group.unsaved().cursors, [
      {
        log: LOG,
        next: 7,
        seen: 7,
        inFlight: [
          { position: 3, packetId: 0, order: 0, qos: 1, released: false },
          { position: 5, packetId: 0, order: 1, qos: 1, released: false },
        ],
      },
    ])
  })

  test('all logs with a new record, then those in which something has moved', () => {
    const { group, offer } = createGroup()
    group.record = RECORD
    const first = group.unsaved()
    const a = new Member(1)
    group.seat(a, a.target(1))
    offer(1)
    group.saved(first.mark)
    assert.deepEqual(
      group.unsaved().cursors.map(({ log }) => log),
      [LOG],
    )
    group.saved(group.unsaved().mark)
    assert.deepEqual(group.unsaved().cursors, [])
    group.record = RECORD
    assert.equal(group.unsaved().cursors.length, 1)
  })

  test('only a group with a record is saved', () => {
    const { group, marked, offer } = createGroup()
    const a = new Member(1)
    group.seat(a, a.target(1))
    offer(1)
    assert.deepEqual([group.stored, marked.length], [false, 0])
    group.record = RECORD
    offer(1)
    assert.deepEqual([group.stored, marked.length], [true, 1])
  })
})
