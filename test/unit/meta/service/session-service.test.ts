// SPDX-License-Identifier: Apache-2.0
// Sessions: takeover, fencing, expiry, wills and cursors, as brokers see them.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { EXPIRY_NEVER, type Session } from '#contract/record/session'
import { A, B, client, createMetaNode, cursor, NOW_MS, opening, subscription, will } from '../meta-node.ts'

const FENCED = { kind: 'fenced' }
const DONE = { kind: 'done' }

describe('opening a session', () => {
  it('begins one where there was none', async () => {
    const { service } = await createMetaNode()
    const opened = await service.openSession(opening('c', { will: will('w', 30) }))
    assert.equal(opened.present, false)
    assert.equal(opened.previous, undefined)
    assert.deepEqual(opened.subscriptions, [])
    assert.deepEqual(opened.cursors, [])
    assert.deepEqual(opened.session, {
      tenant: 'default',
      clientId: 'c',
      uid: 1,
      epoch: 1,
      owner: A,
      expirySeconds: EXPIRY_NEVER,
      disconnectedAtMs: 0,
      will: will('w', 30),
    })
  })

  it('goes on with what is there, under the same uid and a higher epoch', async () => {
    const { service } = await createMetaNode()
    const { session } = await service.openSession(opening('c'))
    await service.subscribe(client('c'), session.epoch, [subscription('b/#'), subscription('a')])
    await service.saveCursors([{ uid: session.uid, epoch: session.epoch, cursors: [cursor(2, 50), cursor(1, 40)] }])
    const again = await service.openSession(opening('c', { owner: B }))
    assert.equal(again.present, true)
    assert.equal(again.session.uid, session.uid)
    assert.ok(again.session.epoch > session.epoch)
    assert.deepEqual(again.session.owner, B)
    assert.deepEqual(again.previous?.owner, A)
    assert.deepEqual(again.subscriptions, [subscription('a'), subscription('b/#')])
    assert.deepEqual(again.cursors, [cursor(1, 40), cursor(2, 50)])
  })

  it('gives uids that are unique over all data groups', async () => {
    const { service } = await createMetaNode({ dataGroups: 3 })
    const opened = await Promise.all(Array.from({ length: 60 }, (_, at) => service.openSession(opening(`client-${at}`))))
    const uids = opened.map(({ session }) => session.uid)
    assert.equal(new Set(uids).size, 60)
    assert.ok(Math.min(...uids) >= 1)
  })

  it('keeps clients of different tenants apart', async () => {
    const { service } = await createMetaNode()
    const one = await service.openSession(opening('c', { tenant: 'one' }))
    const two = await service.openSession(opening('c', { tenant: 'two' }))
    assert.equal(two.present, false)
    assert.notEqual(two.session.uid, one.session.uid)
  })

  it('refuses a client id with U+0000, which would break the key format', async () => {
    const { service } = await createMetaNode()
    await assert.rejects(
      service.openSession(opening('a\0b')),
      (error) => error instanceof PlatformError && error.code === ERROR_CODES.invalid,
    )
  })
})

describe('Q9: takeover is one compare-and-set', () => {
  it('fences every later write of the old owner', async () => {
    const { service } = await createMetaNode()
    const old = await service.openSession(opening('c'))
    const current = await service.openSession(opening('c', { owner: B, will: will('w') }))
    const { epoch, uid } = old.session
    assert.deepEqual(await service.subscribe(client('c'), epoch, [subscription('late')]), FENCED)
    assert.deepEqual(await service.unsubscribe(client('c'), epoch, ['x']), FENCED)
    assert.deepEqual(await service.closeSession({ ...client('c'), epoch, nowMs: NOW_MS, expirySeconds: 0, keepWill: false }), FENCED)
    assert.deepEqual(await service.endSession(client('c'), uid, epoch), FENCED)
    assert.equal(await service.takeWill(client('c'), uid, epoch), undefined)
    assert.deepEqual(await service.sessions(undefined, 10), [current.session])
    const next = await service.openSession(opening('c'))
    assert.deepEqual(next.subscriptions, [])
  })

  it('ignores cursors that the old owner saves after the new one has read them', async () => {
    const { service } = await createMetaNode()
    const { session: old } = await service.openSession(opening('c'))
    await service.saveCursors([{ uid: old.uid, epoch: old.epoch, cursors: [cursor(1, 10)] }])
    const { session } = await service.openSession(opening('c', { owner: B }))
    await service.saveCursors([{ uid: old.uid, epoch: old.epoch, cursors: [cursor(1, 999), cursor(2, 999)] }])
    assert.deepEqual((await service.openSession(opening('c'))).cursors, [cursor(1, 10)])
    await service.saveCursors([{ uid: session.uid, epoch: session.epoch, cursors: [cursor(1, 999)] }])
    assert.deepEqual((await service.openSession(opening('c'))).cursors, [cursor(1, 10)], 'nor those of the owner in between')
  })

  it('gives each of many concurrent openings an epoch of its own, and leaves one owner', async () => {
    const { service } = await createMetaNode()
    const requests = Array.from({ length: 20 }, (_, node) => service.openSession(opening('c', { owner: { node, bootEpoch: 1 } })))
    const opened = await Promise.all(requests)
    const epochs = opened.map(({ session }) => session.epoch)
    assert.equal(new Set(epochs).size, 20)
    const writes = await Promise.all(opened.map(({ session }) => service.subscribe(client('c'), session.epoch, [subscription('s')])))
    assert.equal(writes.filter(({ kind }) => kind === 'done').length, 1)
    assert.equal(writes.at(-1)?.kind, 'done')
  })

  it('never uses an epoch again, not even after a session has ended without a trace', async () => {
    const { service } = await createMetaNode()
    const { session: first } = await service.openSession(opening('c'))
    await service.endSession(client('c'), first.uid, first.epoch)
    const { session: second } = await service.openSession(opening('c', { owner: B }))
    assert.ok(second.epoch > first.epoch)
    const late = { ...client('c'), epoch: first.epoch, nowMs: NOW_MS, expirySeconds: 0, keepWill: false }
    assert.deepEqual(await service.closeSession(late), FENCED)
    assert.deepEqual(await service.sessions(undefined, 10), [second])
  })
})

describe('Q12: the old session ends at takeover', () => {
  for (const [cause, first, second] of [
    ['clean start', {}, { cleanStart: true }],
    ['expiry 0 of the old connection', { expirySeconds: 0 }, {}],
  ] as const) {
    it(`by ${cause}: present is false, the will comes back, subscriptions and cursors are gone`, async () => {
      const node = await createMetaNode()
      const { service } = node
      const { session: old } = await service.openSession(opening('c', { ...first, will: will('w', 60) }))
      await service.subscribe(client('c'), old.epoch, [subscription('a')])
      await service.saveCursors([{ uid: old.uid, epoch: old.epoch, cursors: [cursor(1, 1)] }])
      const opened = await service.openSession(opening('c', { ...second, owner: B }))
      assert.equal(opened.present, false)
      assert.deepEqual(opened.previous, old)
      assert.notEqual(opened.session.uid, old.uid)
      assert.ok(opened.session.epoch > old.epoch)
      assert.deepEqual(opened.subscriptions, [])
      await node.idle()
      const again = await service.openSession(opening('c'))
      assert.deepEqual([again.present, again.subscriptions, again.cursors], [true, [], []])
      await service.endSession(client('c'), again.session.uid, again.session.epoch)
      await node.idle()
      assert.deepEqual(await keysBesidesCounters(node), [])
    })
  }

  it('has the same end in whichever order close and open arrive', async () => {
    const run = async (closeFirst: boolean): Promise<readonly Session[]> => {
      const { service } = await createMetaNode()
      const { session } = await service.openSession(opening('c', { expirySeconds: 0, will: will('w') }))
      const close = () => service.closeSession({ ...client('c'), epoch: session.epoch, nowMs: NOW_MS, expirySeconds: 0, keepWill: true })
      const open = () => service.openSession(opening('c', { owner: B }))
      const opened = closeFirst ? (await Promise.all([close(), open()]))[1] : (await Promise.all([open(), close()]))[0]
      assert.equal(opened.present, false)
      assert.deepEqual(opened.previous?.will, will('w'), 'the will is due, and only the opener has it')
      assert.equal(await service.takeWill(client('c'), session.uid, session.epoch), undefined)
      return service.sessions(undefined, 10)
    }
    assert.deepEqual(await run(true), await run(false))
  })
})

describe('expiry of a session', () => {
  const leave = async (expirySeconds: number, afterMs: number) => {
    const { service } = await createMetaNode()
    const { session } = await service.openSession(opening('c', { expirySeconds, will: will('w', 60) }))
    await service.subscribe(client('c'), session.epoch, [subscription('a')])
    const close = { ...client('c'), epoch: session.epoch, nowMs: NOW_MS, expirySeconds, keepWill: true }
    assert.deepEqual(await service.closeSession(close), DONE)
    const opened = await service.openSession(opening('c', { nowMs: NOW_MS + afterMs, owner: B }))
    return { session, opened }
  }

  it('is not yet over one millisecond before', async () => {
    const { session, opened } = await leave(10, 9_999)
    assert.equal(opened.present, true)
    assert.equal(opened.session.uid, session.uid)
    assert.deepEqual(opened.subscriptions, [subscription('a')])
    assert.equal(opened.previous?.disconnectedAtMs, NOW_MS)
  })

  it('is over at its time: the session counts as absent, and comes back as the previous one', async () => {
    const { session, opened } = await leave(10, 10_000)
    assert.equal(opened.present, false)
    assert.notEqual(opened.session.uid, session.uid)
    assert.deepEqual(opened.subscriptions, [])
    assert.deepEqual(opened.previous?.will, will('w', 60))
  })

  it('never comes with EXPIRY_NEVER', async () => {
    const { opened } = await leave(EXPIRY_NEVER, 1e15)
    assert.equal(opened.present, true)
  })

  it('does not run while the client is connected', async () => {
    const { service } = await createMetaNode()
    await service.openSession(opening('c', { expirySeconds: 1 }))
    assert.equal((await service.openSession(opening('c', { nowMs: NOW_MS + 1e9 }))).present, true)
  })

  it('may be changed by the farewell of the client', async () => {
    const { service } = await createMetaNode()
    const { session } = await service.openSession(opening('c', { expirySeconds: 10 }))
    await service.closeSession({ ...client('c'), epoch: session.epoch, nowMs: NOW_MS, expirySeconds: 0, keepWill: false })
    assert.deepEqual(await service.sessions(undefined, 10), [])
  })

  it('closed and opened again, a session keeps what it has', async () => {
    const { service } = await createMetaNode()
    const { session } = await service.openSession(opening('c'))
    const close = { ...client('c'), epoch: session.epoch, nowMs: NOW_MS + 5, expirySeconds: 77, keepWill: false }
    await service.closeSession(close)
    const [closed] = await service.sessions(undefined, 10)
    assert.deepEqual(closed, { ...session, owner: undefined, disconnectedAtMs: NOW_MS + 5, expirySeconds: 77 })
    assert.deepEqual(await service.closeSession(close), DONE, 'a repeated close is harmless')
  })
})

describe('Q13: wills', () => {
  const closeWithWill = async (expirySeconds: number) => {
    const node = await createMetaNode()
    const { service } = node
    const { session } = await service.openSession(opening('c', { expirySeconds, will: will('w', 5) }))
    await service.closeSession({ ...client('c'), epoch: session.epoch, nowMs: NOW_MS, expirySeconds, keepWill: true })
    return { node, service, session }
  }

  it('is taken once', async () => {
    const { service, session } = await closeWithWill(60)
    const takes = await Promise.all(Array.from({ length: 5 }, () => service.takeWill(client('c'), session.uid, session.epoch)))
    assert.deepEqual(takes, [will('w', 5), undefined, undefined, undefined, undefined])
    assert.equal((await service.openSession(opening('c'))).present, true, 'the session stays')
  })

  it('is cancelled by a reconnect, whoever comes to take it later', async () => {
    const { service, session } = await closeWithWill(60)
    const opened = await service.openSession(opening('c', { will: will('new') }))
    assert.deepEqual(opened.previous?.will, will('w', 5))
    assert.equal(await service.takeWill(client('c'), session.uid, session.epoch), undefined)
    assert.deepEqual(await service.takeWill(client('c'), opened.session.uid, opened.session.epoch), will('new'))
  })

  it('is dropped when the client says goodbye', async () => {
    const { service } = await createMetaNode()
    const { session } = await service.openSession(opening('c', { will: will('w') }))
    await service.closeSession({ ...client('c'), epoch: session.epoch, nowMs: NOW_MS, expirySeconds: 60, keepWill: false })
    assert.equal(await service.takeWill(client('c'), session.uid, session.epoch), undefined)
  })

  it('outlives a session with expiry 0 until it is taken, and then nothing is left', async () => {
    const { node, service, session } = await closeWithWill(0)
    const [ended] = await service.sessions(undefined, 10)
    assert.deepEqual(ended, { ...session, owner: undefined, disconnectedAtMs: NOW_MS })
    assert.deepEqual(await service.subscribe(client('c'), session.epoch, [subscription('a')]), FENCED, 'nobody writes to an ended session')
    assert.deepEqual(await service.takeWill(client('c'), session.uid, session.epoch), will('w', 5))
    assert.deepEqual(await service.sessions(undefined, 10), [])
    await node.idle()
    assert.deepEqual(await keysBesidesCounters(node), [])
  })

  it('of an ended session goes to the next opening, which is told that no session was present', async () => {
    const { service } = await closeWithWill(0)
    const opened = await service.openSession(opening('c'))
    assert.equal(opened.present, false)
    assert.deepEqual(opened.previous?.will, will('w', 5))
  })

  it('is not given to an older epoch nor to another uid', async () => {
    const { service, session } = await closeWithWill(60)
    assert.equal(await service.takeWill(client('c'), session.uid, session.epoch - 1), undefined)
    assert.equal(await service.takeWill(client('c'), session.uid + 1, session.epoch), undefined)
    assert.deepEqual(await service.takeWill(client('c'), session.uid, session.epoch), will('w', 5))
  })
})

describe('ending a session', () => {
  it('removes it with all it has', async () => {
    const node = await createMetaNode({ offsetGroups: 2 })
    const { service } = node
    const { session } = await service.openSession(opening('c', { will: will('w') }))
    await service.subscribe(client('c'), session.epoch, [subscription('a'), subscription('b')])
    await service.saveCursors([{ uid: session.uid, epoch: session.epoch, cursors: [cursor(1, 1), cursor(2, 2)] }])
    assert.deepEqual(await service.endSession(client('c'), session.uid, session.epoch), DONE)
    await node.idle()
    assert.deepEqual(await keysBesidesCounters(node), [])
    assert.deepEqual(await service.endSession(client('c'), session.uid, session.epoch), DONE, 'ending it again is harmless')
  })

  it('leaves the sessions of other clients alone, names that begin alike included', async () => {
    const { service } = await createMetaNode()
    const opened = await Promise.all(['c', 'c1', 'c-', 'b'].map((name) => service.openSession(opening(name))))
    for (const { session } of opened) await service.subscribe(session, session.epoch, [subscription('a')])
    const { session } = opened[0] as (typeof opened)[0]
    await service.endSession(session, session.uid, session.epoch)
    for (const name of ['c1', 'c-', 'b']) {
      assert.deepEqual((await service.openSession(opening(name))).subscriptions, [subscription('a')])
    }
  })
})

describe('subscriptions', () => {
  it('are replaced by filter and removed by filter', async () => {
    const { service } = await createMetaNode()
    const { session } = await service.openSession(opening('c'))
    const key = client('c')
    await service.subscribe(key, session.epoch, [subscription('a', 0), subscription('b', 0), subscription('ü/+', 2)])
    await service.subscribe(key, session.epoch, [subscription('a', 2)])
    assert.deepEqual(await service.unsubscribe(key, session.epoch, ['b', 'never there']), DONE)
    const { subscriptions } = await service.openSession(opening('c'))
    assert.deepEqual(subscriptions, [subscription('a', 2), subscription('ü/+', 2)])
  })

  it('are all there when there are more than one page of them', async () => {
    const { service } = await createMetaNode()
    const { session } = await service.openSession(opening('c'))
    const many = Array.from({ length: 1234 }, (_, at) => subscription(`t/${String(at).padStart(5, '0')}`))
    await service.subscribe(client('c'), session.epoch, many)
    assert.deepEqual((await service.openSession(opening('c'))).subscriptions, many)
  })

  it('cost a scan only where there are some', async () => {
    const { service, kv } = await createMetaNode()
    const { session } = await service.openSession(opening('c'))
    const { session: other } = await service.openSession(opening('other', { expirySeconds: 0 }))
    await service.closeSession({ ...client('other'), epoch: other.epoch, nowMs: NOW_MS, expirySeconds: 0, keepWill: false })
    await service.openSession(opening('c', { cleanStart: true }))
    assert.equal(kv.scans, 0)
    const { session: current } = await service.openSession(opening('c'))
    assert.deepEqual(await service.subscribe(client('c'), session.epoch, [subscription('a')]), FENCED)
    await service.openSession(opening('c'))
    assert.equal(kv.scans, 0)
    assert.ok(current.epoch > session.epoch)
  })

  it('written in the same turn as the takeover are seen by it', async () => {
    const { service } = await createMetaNode()
    const { session } = await service.openSession(opening('c'))
    const [, opened] = await Promise.all([
      service.subscribe(client('c'), session.epoch, [subscription('a')]),
      service.openSession(opening('c', { owner: B })),
    ])
    assert.deepEqual(opened.subscriptions, [subscription('a')])
  })
})

describe('listing sessions', () => {
  it('pages over all data groups in one order', async () => {
    const { service } = await createMetaNode({ dataGroups: 3 })
    const names = Array.from({ length: 57 }, (_, at) => `client-${String(at).padStart(3, '0')}`)
    await Promise.all(names.map((name) => service.openSession(opening(name))))
    const seen: string[] = []
    let after: Session | undefined
    for (;;) {
      const page = await service.sessions(after, 10)
      seen.push(...page.map(({ clientId }) => clientId))
      after = page.at(-1)
      if (page.length < 10) break
    }
    assert.deepEqual(seen, names)
  })
})

describe('cursors', () => {
  it('of sessions that have ended are collected at the start, those of live sessions stay', async () => {
    const first = await createMetaNode({ dataGroups: 2, offsetGroups: 2 })
    const opened = await Promise.all(Array.from({ length: 8 }, (_, at) => first.service.openSession(opening(`c${at}`))))
    await first.service.saveCursors(opened.map(({ session }) => ({ uid: session.uid, epoch: session.epoch, cursors: [cursor(1, 5)] })))
    // What a crash leaves that comes after a session is ended and before its cursors are removed.
    for (const group of first.offset) group.refusal = new PlatformError(ERROR_CODES.stopping, 'the node dies here')
    for (const { session } of opened.slice(0, 5)) await first.service.endSession(session, session.uid, session.epoch)
    await first.idle()

    const second = await createMetaNode({ kv: first.kv.fork(), dataGroups: 2, offsetGroups: 2 })
    await second.service.start()
    for (const name of ['c5', 'c6', 'c7']) assert.deepEqual((await second.service.openSession(opening(name))).cursors, [cursor(1, 5)])
    const third = await createMetaNode({ kv: second.kv.fork(), dataGroups: 2, offsetGroups: 2 })
    const before = third.kv.writes.length
    await third.service.start()
    assert.equal(third.kv.writes.length, before, 'there was nothing more to collect')
    await second.service.stop()
    await third.service.stop()
  })
})

/** Keys of the store other than the groups' own bookkeeping: tables 1 to 3. */
async function keysBesidesCounters(node: { readonly kv: { dump(): string[] } }): Promise<string[]> {
  return node.kv.dump().filter((pair) => Number.parseInt(pair.slice(10, 12), 16) > 3)
}
