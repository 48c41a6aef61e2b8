// SPDX-License-Identifier: Apache-2.0
// Wills and the end of sessions whose client is away, over a meta and a log that tell what they were asked, in order.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Logger } from '#base/port/logger'
import type { MetaClient } from '#contract/client/meta-client'
import { EXPIRY_NEVER, type Session, type Will } from '#contract/record/session'
import { ShardRouter } from '#storage'
import { AwaySessions } from '../../../../src/broker/message/away-sessions.ts'
import { durableLogsOf } from '../../../../src/broker/message/durable-logs.ts'
import { Publisher } from '../../../../src/broker/message/publish.ts'
import { WillPublisher } from '../../../../src/broker/message/will.ts'
import { ManualClock } from '../../raft/log/manual-clock.ts'
import { DURABLE, FakeShardStore, settled } from './shard-store-fake.ts'

const SILENT: Logger = { log: () => undefined, scope: () => SILENT }
const NONE = Buffer.alloc(0)

function willOf(changes: Partial<Will> = {}): Will {
  return {
    topic: 'w',
    qos: 1,
    retain: false,
    payload: NONE,
    headers: NONE,
    delaySeconds: 0,
    messageExpirySeconds: undefined,
    ...changes,
  }
}

function sessionOf(will: Will | undefined, changes: Partial<Session> = {}): Session {
  const session = { tenant: 'default', clientId: 'c', uid: 7, epoch: 3, owner: undefined, disconnectedAtMs: 0, expirySeconds: EXPIRY_NEVER }
  return { ...session, will, ...changes }
}

/** What happens to wills and sessions is written down in the order in which it begins. */
function setUp() {
  const story: string[] = []
  const held = new Set<string>()
  const clock = new ManualClock()
  class Store extends FakeShardStore {
    override append(...[log, batch, done]: Parameters<FakeShardStore['append']>): void {
      story.push(log === DURABLE ? 'append' : 'append in memory')
      super.append(log, batch, done)
    }

    override async release(): Promise<boolean> {
      story.push('release')
      return true
    }

    override async forget(): Promise<void> {
      story.push('forget')
    }
  }
  const store = new Store()
  const keyOf = ({ uid, epoch }: Pick<Session, 'uid' | 'epoch'>): string => `${uid} ${epoch}`
  const meta = {
    closeSession: async () => ({ kind: 'done' }),
    takeWill: async (_key: unknown, uid: number, epoch: number) => {
      story.push('take')
      return held.delete(keyOf({ uid, epoch })) ? willOf() : undefined
    },
    endSession: async () => {
      story.push('end')
      return { kind: 'done' }
    },
  } as unknown as MetaClient
  const router = new ShardRouter(store, { storage: 'rocksdb', model: 'shared', offline: true, storeQos0: false }, [])
  const wills = new WillPublisher(new Publisher(store, clock, () => {}), router, store, durableLogsOf(store), meta, clock, () => true)
  const shares = { ending: async () => undefined, ended: () => undefined }
  const away = new AwaySessions(meta, store, wills, shares, { tell: () => undefined }, clock, SILENT)
  /** The client goes away; what is due at once is under way. */
  const leave = async (session: Session): Promise<void> => {
    if (session.will !== undefined) held.add(keyOf(session))
    void away.leave({ ...session, disconnectedAtMs: clock.realtime() }, true)
    await pass(0)
  }
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms)
    for (let turn = 0; turn < 5; turn++) await settled()
  }
  const commit = async (): Promise<void> => {
    store.commit()
    await settled()
  }
  return { story, held, store, clock, away, wills, leave, pass, commit, keyOf }
}

test('Q13 a will in a durable log is stored before it leaves its session, and its sequence is released last', async () => {
  const { story, leave, commit } = setUp()
  await leave(sessionOf(willOf()))
  assert.deepEqual(story, ['append'])
  await commit()
  assert.deepEqual(story, ['append', 'take', 'release'])
})

test('Q13 a will in a log in memory leaves its session first: the log could not tell a second one after a crash', async () => {
  const { story, leave, commit } = setUp()
  await leave(sessionOf(willOf({ qos: 0 })))
  assert.deepEqual(story, ['take', 'append in memory'])
  await commit()
  assert.deepEqual(story, ['take', 'append in memory', 'release'])
})

test('Q13 a will that somebody else has taken is not published in memory, and in a durable log keeps its sequence', async () => {
  const { story, held, leave, commit } = setUp()
  await leave(sessionOf(willOf()))
  held.clear()
  await commit()
  assert.deepEqual(story, ['append', 'take'])
  const passing = setUp()
  const session = sessionOf(willOf({ qos: 0 }))
  await passing.wills.publishHeld(session, willOf({ qos: 0 }))
  assert.deepEqual(passing.story, ['take'])
})

test('Q13 a clean start while the will comes due waits for the same publish', async () => {
  const { story, away, leave, pass, commit } = setUp()
  await leave(sessionOf(willOf({ delaySeconds: 5 })))
  assert.deepEqual(story, [])
  await pass(5_000)
  let settledBefore = false
  void away.settleBefore({ tenant: 'default', clientId: 'c' }, true, 5_000).then(() => {
    settledBefore = true
  })
  await pass(0)
  assert.deepEqual([story, settledBefore], [['append'], false])
  await commit()
  await pass(0)
  assert.deepEqual([story, settledBefore], [['append', 'take', 'release'], true])
  await away.settleBefore({ tenant: 'default', clientId: 'c' }, true, 5_000)
  assert.equal(story.length, 3)
})

test('Q12 Q13 a clean start publishes the will before its delay has passed; going on with the session does not', async () => {
  const { story, away, leave, pass, commit } = setUp()
  const key = { tenant: 'default', clientId: 'c' }
  await leave(sessionOf(willOf({ delaySeconds: 5 })))
  await away.settleBefore(key, false, 4_999)
  assert.deepEqual(story, [])
  const settling = away.settleBefore(key, true, 4_999)
  await pass(0)
  await commit()
  await settling
  assert.deepEqual(story, ['append', 'take', 'release'])
})

test('Q13 a client that is back before the delay has passed has no will, and its later one is its own', async () => {
  const { story, away, leave, pass } = setUp()
  await leave(sessionOf(willOf({ delaySeconds: 5 })))
  away.returned({ tenant: 'default', clientId: 'c' })
  await leave(sessionOf(willOf({ delaySeconds: 9 }), { epoch: 4 }))
  await pass(5_000)
  assert.deepEqual(story, [])
  await pass(4_000)
  assert.deepEqual(story, ['append'])
})

test('Q13 a session that expires is ended after its will is stored, not before: a crash in between would lose it', async () => {
  const { story, leave, pass, commit } = setUp()
  await leave(sessionOf(willOf({ delaySeconds: 60 }), { expirySeconds: 10 }))
  await pass(10_000)
  assert.deepEqual(story, ['append'])
  await commit()
  await pass(0)
  assert.deepEqual(story, ['append', 'take', 'release', 'end', 'forget'])
})

test('Q13 a will that could not be stored is tried again, and until then its client gets no clean session', async () => {
  const { story, store, away, leave, pass } = setUp()
  await leave(sessionOf(willOf()))
  store.appends.shift()?.done({ kind: 'rejected', reason: 'busy' })
  await pass(0)
  assert.deepEqual(story, ['append'])
  const settling = assert.rejects(away.settleBefore({ tenant: 'default', clientId: 'c' }, true, 0), /was not stored/)
  await pass(0)
  store.appends.shift()?.done({ kind: 'rejected', reason: 'busy' })
  await settling
  await pass(1_000)
  assert.deepEqual(story, ['append', 'append', 'append'])
})
