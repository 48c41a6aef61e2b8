// SPDX-License-Identifier: Apache-2.0
// R54: a command done in a client session is done once, however often it is proposed.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ERROR_CODES } from '#base/error-code'
import { SESSION_WINDOW } from '#contract/client/kv-client'
import { createMetaMachine, type MetaGroupKind } from '#meta'
import type { StateMachine } from '#raft'
import { AppliedSignal } from '../../../../src/meta/applied-signal.ts'
import { GroupKeys } from '../../../../src/meta/codec/key.ts'
import { inClientSession, openClientSession } from '../../../../src/meta/command/client-session-command.ts'
import { COMMAND, type Command, encodeEntry } from '../../../../src/meta/command/command.ts'
import { claimCursors, saveCursors } from '../../../../src/meta/command/cursor-command.ts'
import { putDelayed } from '../../../../src/meta/command/delayed-command.ts'
import { transactKv } from '../../../../src/meta/command/kv-command.ts'
import { registerNode } from '../../../../src/meta/command/node-command.ts'
import * as session from '../../../../src/meta/command/session-command.ts'
import { ClientSessionMachine, SESSION_IDLE_MS_MAX } from '../../../../src/meta/machine/client-session.ts'
import { KvMachine } from '../../../../src/meta/machine/kv.ts'
import { MuxStateMachine } from '../../../../src/meta/machine/mux.ts'
import { normalEntry } from '../fake-group.ts'
import { MemoryKv } from '../memory-kv.ts'
import { client, cursor, NOW_MS, opening, subscription, will } from '../meta-node.ts'

const put = (key: string, value: string) =>
  transactKv({ compares: [], success: [{ kind: 'put', key: Buffer.from(key), value: Buffer.from(value) }], failure: [] })

/** Applies one command after the other, each in an entry of its own. */
function player(kind: MetaGroupKind = 'metadata', kv = new MemoryKv(), machine: StateMachine = createMetaMachine(kind, 1, 0, 1, kv)) {
  let index = 0
  const play = async <Reply>(command: Command<Reply>): Promise<Reply> => {
    const [replies] = (await machine.apply([normalEntry(++index, encodeEntry([command]))])) as [Reply[]]
    return replies[0] as Reply
  }
  return { play, kv, machine }
}

/** A machine that has room for three sessions. */
function crowded(kv = new MemoryKv()): ReturnType<typeof player> {
  const keys = new GroupKeys(1)
  const table = new KvMachine(keys)
  const machines = [table, new ClientSessionMachine(keys, () => table, 3)]
  return player(
    'metadata',
    kv,
    new MuxStateMachine(kv, keys, { kind: 'metadata', ordinal: 0, groupCount: 1 }, machines, new AppliedSignal()),
  )
}

describe('R54: a command in a session', () => {
  it('that comes again is not done again, and has the very same reply', async () => {
    const { play, kv } = player()
    const id = await play(openClientSession(NOW_MS))
    const first = await play(inClientSession(id, 1, NOW_MS, put('k', 'v')))
    assert.deepEqual(first, { kind: 'done', reply: { kind: 'done', succeeded: true, revision: 1, results: [{ kind: 'put' }] } })
    await play(put('k', 'another'))
    const before = kv.dump().filter((pair) => !pair.startsWith('6d0000000101'))
    assert.deepEqual(await play(inClientSession(id, 1, NOW_MS + 5, put('k', 'v'))), first)
    assert.deepEqual(
      kv.dump().filter((pair) => !pair.startsWith('6d0000000101')),
      before,
    )
  })

  it('that comes twice in one entry is done once', async () => {
    const { play, machine } = player()
    const id = await play(openClientSession(NOW_MS))
    const command = inClientSession(id, 1, NOW_MS, put('k', 'v'))
    const [replies] = (await machine.apply([normalEntry(2, encodeEntry([command, command]))])) as [unknown[]]
    assert.deepEqual(replies[0], replies[1])
  })

  it('may come in any order within the window', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: SESSION_WINDOW }), { maxLength: 60 }), async (sequences) => {
        const { play } = player()
        const id = await play(openClientSession(NOW_MS))
        const replies = new Map<number, unknown>()
        for (const sequence of sequences) {
          const reply = await play(inClientSession(id, sequence, NOW_MS, put('k', `${sequence}`)))
          if (replies.has(sequence)) assert.deepEqual(reply, replies.get(sequence))
          replies.set(sequence, reply)
        }
        const last = await play(put('k', 'last'))
        assert.equal(last.kind === 'done' && last.revision, replies.size + 1)
      }),
      { numRuns: 50 },
    )
  })

  it('that comes after its place went to a later one is not done', async () => {
    const { play } = player()
    const id = await play(openClientSession(NOW_MS))
    await play(inClientSession(id, 1, NOW_MS, put('k', 'early')))
    await play(inClientSession(id, 1 + SESSION_WINDOW, NOW_MS, put('k', 'late')))
    assert.deepEqual(await play(inClientSession(id, 1, NOW_MS, put('k', 'early'))), { kind: 'superseded' })
    const reply = await play(transactKv({ compares: [], success: [{ kind: 'get', key: Buffer.from('k') }], failure: [] }))
    assert.equal(reply.kind === 'done' && reply.results[0]?.kind === 'get' && String(reply.results[0].item?.value), 'late')
  })

  const commands: readonly (readonly [MetaGroupKind, string, readonly Command<unknown>[]])[] = [
    ['metadata', 'registration of a node', [registerNode(1, NOW_MS, 1)]],
    ['offset', 'claim of cursors', [saveCursors([{ uid: 1, epoch: 1, cursors: [cursor(1, 5)] }]), claimCursors(1, 2)]],
    [
      'data',
      'command on a session',
      [
        session.openSession(opening('c', { will: will('w') })),
        session.subscribe(client('c'), 1, [subscription('a')]),
        session.openSession(opening('c')),
        session.takeWill(client('c'), 1, 1),
      ],
    ],
    [
      'data',
      'delayed message',
      [
        putDelayed(
          {
            topic: 't',
            qos: 1,
            retain: false,
            publisher: 3,
            clientId: 'c',
            messageExpirySeconds: undefined,
            headers: Buffer.alloc(0),
            payload: Buffer.from('p'),
          },
          NOW_MS,
          undefined,
        ),
      ],
    ],
  ]
  for (const [kind, name, list] of commands) {
    it(`may be any: ${name}`, async () => {
      const { play } = player(kind)
      const id = await play(openClientSession(NOW_MS))
      for (const [at, command] of list.entries()) {
        const first = await play(inClientSession(id, at + 1, NOW_MS, command))
        assert.deepEqual(await play(inClientSession(id, at + 1, NOW_MS, command)), first)
      }
    })
  }

  it('is not another command of sessions', async () => {
    const { play } = player()
    const id = await play(openClientSession(NOW_MS))
    await assert.rejects(play(inClientSession(id, 1, NOW_MS, { type: COMMAND.openClientSession, body: openClientSession(NOW_MS).body })), {
      code: ERROR_CODES.dataVersion,
    })
  })
})

describe('R54: a client session ends', () => {
  it('when it was not used for long, by the times in the commands, and what comes later is not done', async () => {
    const { play, kv } = player()
    const id = await play(openClientSession(NOW_MS))
    const used = NOW_MS + SESSION_IDLE_MS_MAX - 1
    assert.equal((await play(inClientSession(id, 1, used, put('k', '1')))).kind, 'done')
    assert.equal((await play(inClientSession(id, 2, used + SESSION_IDLE_MS_MAX - 1, put('k', '2')))).kind, 'done')
    const late = used + 3 * SESSION_IDLE_MS_MAX
    assert.deepEqual(await play(inClientSession(id, 2, late, put('k', '2'))), { kind: 'expired' })
    assert.deepEqual(await play(inClientSession(id, 3, NOW_MS, put('k', '3'))), { kind: 'expired' })
    assert.equal(kv.dump().filter((pair) => /^6d00000001(22|23|24)/.test(pair)).length, 0)
  })

  it('never for a clock that goes back', async () => {
    const { play } = player()
    const id = await play(openClientSession(NOW_MS))
    assert.equal((await play(inClientSession(id, 1, NOW_MS - 10 * SESSION_IDLE_MS_MAX, put('k', '1')))).kind, 'done')
    assert.equal((await play(inClientSession(id, 2, NOW_MS + 1, put('k', '1')))).kind, 'done')
  })

  it('when too many others are open and it was not used for longest', async () => {
    const { play } = crowded()
    const minute = 60_000
    const ids: number[] = []
    for (let at = 0; at < 3; at++) ids.push(await play(openClientSession(NOW_MS + at)))
    assert.equal((await play(inClientSession(ids[0] ?? 0, 1, NOW_MS + 2 * minute, put('k', '1')))).kind, 'done')
    assert.equal(await play(openClientSession(NOW_MS + 3 * minute)), 4)
    const alive = []
    for (const id of [...ids, 4]) alive.push((await play(inClientSession(id, 2, NOW_MS + 3 * minute, put('k', '2')))).kind)
    assert.deepEqual(alive, ['done', 'expired', 'done', 'done'])
  })

  it('to make room also when it has expired, several at a time', async () => {
    const { play, kv } = crowded()
    for (let at = 0; at < 3; at++) await play(openClientSession(NOW_MS))
    await play(openClientSession(NOW_MS + SESSION_IDLE_MS_MAX))
    assert.equal(kv.dump().filter((pair) => pair.startsWith('6d0000000122')).length, 1)
  })
})
