// SPDX-License-Identifier: Apache-2.0
// The state machine of a meta group: what reaches the store, when, and that it depends on nothing but the entries.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { AssertionError } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { DelayedMessage } from '#contract/client/delayed-client'
import type { KvAction } from '#contract/client/kv-client'
import { createMetaMachine } from '#meta'
import type { Entry } from '#raft'
import { inClientSession, openClientSession } from '../../../../src/meta/command/client-session-command.ts'
import { type Command, encodeEntry } from '../../../../src/meta/command/command.ts'
import { claimCursors, forgetCursors, saveCursors } from '../../../../src/meta/command/cursor-command.ts'
import { forgetDelayed, putDelayed, releaseDelayed, takeDelayed } from '../../../../src/meta/command/delayed-command.ts'
import { claimExclusive, releaseExclusive } from '../../../../src/meta/command/exclusive-command.ts'
import { transactKv } from '../../../../src/meta/command/kv-command.ts'
import { createLog, removeLog } from '../../../../src/meta/command/log-command.ts'
import { removeMember, setMember } from '../../../../src/meta/command/member-command.ts'
import { raiseClusterVersion, registerNode } from '../../../../src/meta/command/node-command.ts'
import { collectRetained, retain } from '../../../../src/meta/command/retained-command.ts'
import * as session from '../../../../src/meta/command/session-command.ts'
import { normalEntry } from '../fake-group.ts'
import { MemoryKv } from '../memory-kv.ts'
import { client, cursor, NOW_MS, opening, retainedWrite, subscription, will } from '../meta-node.ts'

const HOUR_MS = 3_600_000
const dataMachine = (kv: MemoryKv) => createMetaMachine('data', 7, 0, 1, kv)
const metadataMachine = (kv: MemoryKv) => createMetaMachine('metadata', 7, 0, 1, kv)
const offsetMachine = (kv: MemoryKv) => createMetaMachine('offset', 7, 0, 1, kv)
const entryOf = (index: number, ...commands: Command<unknown>[]): Entry => normalEntry(index, encodeEntry(commands))
const delayedMessage = (publisher: number): DelayedMessage => ({
  topic: 't',
  qos: 1,
  retain: false,
  publisher,
  clientId: 'c',
  messageExpirySeconds: 5,
  headers: Buffer.from('h'),
  payload: Buffer.from('later'),
})
const emptyEntry = (index: number): Entry => ({ index, term: 1, kind: 'empty', data: Buffer.alloc(0) })

describe('R8: state and applied index', () => {
  it('reach the store in one write, and are not synced', async () => {
    const kv = new MemoryKv()
    const machine = dataMachine(kv)
    assert.equal(await machine.open(), 0)
    const open = session.openSession(opening('c', { will: will('w') }))
    await machine.apply([emptyEntry(1), entryOf(2, open, retain('default', NOW_MS, [retainedWrite('t', 1, 'x')])), entryOf(3, open)])
    assert.equal(kv.writes.length, 1)
    assert.equal(kv.writes[0]?.sync, false)
    assert.equal(await dataMachine(kv).open(), 3)
  })

  it('advance with entries that carry no command', async () => {
    const kv = new MemoryKv()
    assert.deepEqual(await dataMachine(kv).apply([emptyEntry(1), { ...emptyEntry(2), kind: 'conf' }]), [undefined, undefined])
    assert.equal(await dataMachine(kv).open(), 2)
  })

  it('make an entry that is applied already a no-op', async () => {
    const kv = new MemoryKv()
    const entries = [entryOf(1, session.openSession(opening('c'))), entryOf(2, session.openSession(opening('c')))]
    await dataMachine(kv).apply(entries)
    const before = kv.dump()
    const machine = dataMachine(kv)
    await machine.open()
    assert.deepEqual(await machine.apply(entries), [undefined, undefined])
    assert.deepEqual(kv.dump(), before)
  })

  it('never skip an entry', async () => {
    await assert.rejects(async () => dataMachine(new MemoryKv()).apply([emptyEntry(2)]), AssertionError)
  })

  it('become durable with persist, which leaves the applied index to a write that may be under way', async () => {
    const kv = new MemoryKv()
    const machine = dataMachine(kv)
    await machine.apply([emptyEntry(1)])
    const applying = machine.apply([emptyEntry(2)])
    assert.equal(await machine.persist(), 1)
    await applying
    assert.equal(kv.writes.filter(({ sync }) => sync).length, 1)
    assert.equal(await dataMachine(kv).open(), 2)
    assert.equal(await machine.persist(), 2)
  })
})

describe('R53, R55: what a program does not know stops it', () => {
  const rejectsWith = (entry: Entry, code: (typeof ERROR_CODES)['internal']) => {
    const kv = new MemoryKv()
    return assert.rejects(
      async () => dataMachine(kv).apply([entry]),
      (error) => error instanceof PlatformError && error.code === code && kv.size === 0,
    )
  }

  it('a command of an unknown type', () => rejectsWith(entryOf(1, { type: 250, body: Buffer.of(1) }), ERROR_CODES.dataVersion))

  it('a command of another kind of group', () => rejectsWith(entryOf(1, registerNode(1, NOW_MS, 1)), ERROR_CODES.dataVersion))

  it('a command of an unknown version', () => {
    const body = Buffer.from(session.takeWill(client('c'), 1, 1).body)
    body[0] = 2
    return rejectsWith(entryOf(1, { type: 3, body }), ERROR_CODES.dataVersion)
  })

  it('an entry of an unknown version', () => rejectsWith(normalEntry(1, Buffer.of(9, 0, 0)), ERROR_CODES.dataVersion))

  it('a command that is cut short', () => {
    const { type, body } = session.takeWill(client('c'), 1, 1)
    return rejectsWith(entryOf(1, { type, body: body.subarray(0, body.length - 1) }), ERROR_CODES.dataDamaged)
  })

  it('a state of an unknown version', async () => {
    const kv = new MemoryKv()
    await dataMachine(kv).apply([entryOf(1, session.openSession(opening('c')))])
    const [record] = (await kv.scan({ gte: Buffer.alloc(0), lt: Buffer.of(255) })).filter(({ key }) => key[5] === 4)
    await kv.write([{ key: record?.key ?? Buffer.alloc(0), value: Buffer.of(99) }], { sync: false })
    const machine = dataMachine(kv)
    await machine.open()
    await assert.rejects(
      async () => machine.apply([entryOf(2, session.openSession(opening('c')))]),
      (error) => error instanceof PlatformError && error.code === ERROR_CODES.dataVersion,
    )
  })
})

describe('the identity of a group', () => {
  it('cannot change: keys are hashed over the number of groups', async () => {
    const kv = new MemoryKv()
    await createMetaMachine('data', 7, 0, 1, kv).apply([emptyEntry(1)])
    for (const other of [createMetaMachine('data', 7, 0, 2, kv), createMetaMachine('offset', 7, 0, 1, kv)]) {
      await assert.rejects(other.open(), (error) => error instanceof PlatformError && error.code === ERROR_CODES.configInvalid)
    }
  })

  it('keeps the state of groups in one store apart', async () => {
    const kv = new MemoryKv()
    await createMetaMachine('data', 7, 0, 2, kv).apply([entryOf(1, session.openSession(opening('c')))])
    const machine = createMetaMachine('data', 8, 1, 2, kv)
    assert.equal(await machine.open(), 0)
    const [[reply]] = (await machine.apply([entryOf(1, session.openSession(opening('c')))])) as [[session.OpenReply]]
    assert.equal(reply.present, false)
    assert.equal(reply.session.uid, 2)
  })
})

describe('R52: determinism', () => {
  const times = fc.integer({ min: NOW_MS, max: NOW_MS + 3 * HOUR_MS })
  const clients = fc.constantFrom('a', 'b', 'ab').map(client)
  const epochs = fc.integer({ min: 1, max: 12 })
  const topics = fc.constantFrom('t', 't/1', 't/1/x', '$s')
  const uids = fc.integer({ min: 1, max: 3 })
  const packetIds = fc.integer({ min: 1, max: 3 })
  const delayedKeys = fc.array(fc.record({ dueMs: fc.constantFrom(NOW_MS, NOW_MS + 1), id: fc.integer({ min: 1, max: 6 }) }))
  const delayedCommand: fc.Arbitrary<Command<unknown>> = fc.oneof(
    fc
      .tuple(uids, fc.constantFrom(NOW_MS, NOW_MS + 1), fc.option(packetIds, { nil: undefined }))
      .map(([uid, dueMs, packetId]) => putDelayed(delayedMessage(uid), dueMs, packetId)),
    delayedKeys.map(takeDelayed),
    fc.record({ publisher: uids, packetId: packetIds }).map(releaseDelayed),
    fc.array(uids).map(forgetDelayed),
  )
  const owners = fc.tuple(clients, uids, epochs).map(([key, uid, epoch]) => ({ ...key, uid, epoch }))
  const exclusiveCommand: fc.Arbitrary<Command<unknown>> = fc.oneof(
    fc.tuple(topics, owners, fc.nat(3)).map(([filter, owner, endedUid]) => claimExclusive(filter, owner, endedUid)),
    fc.tuple(fc.array(topics), owners).map(([filters, owner]) => releaseExclusive(filters, owner)),
  )
  const dataCommand: fc.Arbitrary<Command<unknown>> = fc.oneof(
    delayedCommand,
    delayedCommand,
    exclusiveCommand,
    fc
      .record({
        key: clients,
        cleanStart: fc.boolean(),
        expirySeconds: fc.constantFrom(0, 60, 0xffffffff),
        nowMs: times,
        will: fc.boolean(),
      })
      .map(({ key, will: has, ...rest }) => session.openSession({ ...opening(key.clientId, rest), will: has ? will('w') : undefined })),
    fc
      .record({ key: clients, epoch: epochs, nowMs: times, expirySeconds: fc.constantFrom(0, 60), keepWill: fc.boolean() })
      .map(({ key, ...rest }) => session.closeSession({ ...key, ...rest })),
    fc.tuple(clients, epochs, epochs).map(([key, uid, epoch]) => session.takeWill(key, uid, epoch)),
    fc.tuple(clients, epochs, epochs).map(([key, uid, epoch]) => session.endSession(key, uid, epoch)),
    fc.tuple(clients, epochs, fc.array(topics)).map(([key, epoch, names]) =>
      session.subscribe(
        key,
        epoch,
        names.map((name) => subscription(name)),
      ),
    ),
    fc.tuple(clients, epochs, fc.array(topics)).map(([key, epoch, names]) => session.unsubscribe(key, epoch, names)),
    fc
      .tuple(times, fc.array(fc.tuple(topics, fc.nat(20), fc.constantFrom('', 'v', 'value'), fc.constantFrom(0, NOW_MS + HOUR_MS))))
      .map(([nowMs, writes]) =>
        retain(
          'default',
          nowMs,
          writes.map(([topic, position, text, expiryMs]) => retainedWrite(topic, position, text, expiryMs)),
        ),
      ),
    fc.tuple(fc.array(topics), fc.constantFrom(NOW_MS + HOUR_MS, NOW_MS + 2 * HOUR_MS)).map(([names, dueMs]) =>
      collectRetained(
        dueMs,
        names.map((topic) => ({ dueMs, tenant: 'default', topic })),
      ),
    ),
  )
  const offsetCommand: fc.Arbitrary<Command<unknown>> = fc.oneof(
    fc.tuple(uids, epochs).map(([uid, epoch]) => claimCursors(uid, epoch)),
    fc
      .array(
        fc.record({ uid: uids, epoch: epochs, cursors: fc.array(fc.tuple(fc.nat(3), fc.nat(99)).map(([log, next]) => cursor(log, next))) }),
      )
      .map(saveCursors),
    fc.array(uids).map(forgetCursors),
  )

  const names = fc.constantFrom('a', 'b', 'c').map((name) => Buffer.from(name))
  const actions = fc.array(
    fc.oneof(
      names.map((key): KvAction => ({ kind: 'put', key, value: Buffer.concat([key, key]) })),
      names.map((key): KvAction => ({ kind: 'delete', key })),
      names.map((gte): KvAction => ({ kind: 'deleteSpan', span: { gte, lt: undefined } })),
    ),
    { maxLength: 1 },
  )
  const kvCommand = fc
    .tuple(names, fc.nat(9), actions, actions)
    .map(([key, revision, success, failure]) => transactKv({ compares: [{ kind: 'revision', key, revision }], success, failure }))
  const nodeCommand: fc.Arbitrary<Command<unknown>> = fc.oneof(
    fc.tuple(uids, fc.nat(3)).map(([node, version]) => registerNode(node, NOW_MS, version)),
    fc.tuple(fc.nat(3), fc.array(uids)).map(([version, members]) => raiseClusterVersion(version, members)),
    fc.tuple(uids, fc.constantFrom('a:1', 'b:1')).map(([node, address]) => setMember(node, address)),
    uids.map(removeMember),
  )
  const cataloguedLogs = fc.record({
    id: fc.integer({ min: 10, max: 14 }),
    storage: fc.constantFrom('memory', 'rocksdb', 'segment'),
    topic: topics,
    createdAtMs: times,
  })
  const logCommand: fc.Arbitrary<Command<unknown>> = fc.oneof(cataloguedLogs.map(createLog), cataloguedLogs.map(removeLog))
  const metadataCommand: fc.Arbitrary<Command<unknown>> = fc.oneof(
    kvCommand,
    nodeCommand,
    logCommand,
    times.map(openClientSession),
    fc
      .tuple(uids, packetIds, times, fc.oneof(kvCommand, nodeCommand, logCommand))
      .map(([id, sequence, nowMs, inner]) => inClientSession(id, sequence, nowMs, inner)),
  )

  for (const [kind, machineOf, command] of [
    ['metadata', metadataMachine, metadataCommand],
    ['data', dataMachine, dataCommand],
    ['offset', offsetMachine, offsetCommand],
  ] as const) {
    const entries = fc
      .array(fc.array(command, { minLength: 1, maxLength: 4 }), { maxLength: 40 })
      .map((list) => list.map((commands, at) => entryOf(at + 1, ...commands)))

    it(`the entries of a ${kind} group give the same bytes and replies in one batch and one by one`, async () => {
      await fc.assert(
        fc.asyncProperty(entries, async (list) => {
          const [together, apart] = [new MemoryKv(), new MemoryKv()]
          const replies = await machineOf(together).apply(list)
          const machine = machineOf(apart)
          const repliesApart: unknown[] = []
          for (const entry of list) repliesApart.push(...(await machine.apply([entry])))
          assert.deepEqual(apart.dump(), together.dump())
          assert.deepEqual(repliesApart, replies)
        }),
        { numRuns: 200 },
      )
    })

    it(`the entries of a ${kind} group give the same bytes when a crash sends the store back and they are applied again`, async () => {
      await fc.assert(
        fc.asyncProperty(entries, fc.nat(40), fc.nat(40), async (list, at, to) => {
          const whole = new MemoryKv()
          await machineOf(whole).apply(list)
          const first = new MemoryKv()
          const machine = machineOf(first)
          await machine.apply(list.slice(0, at))
          const kept = first.fork()
          await machine.apply(list.slice(at, at + to))
          const restarted = machineOf(kept)
          const applied = await restarted.open()
          await restarted.apply(list.slice(applied))
          assert.deepEqual(kept.dump(), whole.dump())
        }),
        { numRuns: 200 },
      )
    })
  }
})

describe('a long list of entries', () => {
  it('is applied in batches of bounded size, each with its own applied index', async () => {
    const kv = new MemoryKv()
    const open = session.openSession(opening('c'))
    const entries = Array.from({ length: 50 }, (_, at) => entryOf(at + 1, ...Array.from({ length: 100 }, () => open)))
    const replies = await dataMachine(kv).apply(entries)
    assert.equal(replies.length, 50)
    assert.equal(kv.writes.length, 17)
    const last = (replies.at(-1) as session.OpenReply[]).at(-1)
    assert.deepEqual([last?.session.uid, last?.session.epoch], [1, 5000])
  })
})
