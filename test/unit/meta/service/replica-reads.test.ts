// SPDX-License-Identifier: Apache-2.0
// While a snapshot replaces the state of a group, nobody is shown a part of it: a session that is there all the time is never missing (R41, Q11).
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { must } from '#base/assert'
import { AppliedSignal, createMetaMachine } from '#meta'
import { GroupKeys } from '../../../../src/meta/codec/key.ts'
import { encodeEntry } from '../../../../src/meta/command/command.ts'
import { openSession } from '../../../../src/meta/command/session-command.ts'
import { ReplicaReads } from '../../../../src/meta/service/replica-reads.ts'
import { normalEntry } from '../fake-group.ts'
import { MemoryKv } from '../memory-kv.ts'
import { opening } from '../meta-node.ts'

const GROUP = 200
const KEYS = new GroupKeys(GROUP)

/** A replica that has applied the openings of so many sessions. */
async function replica(sessions: number) {
  const kv = new MemoryKv()
  const signal = new AppliedSignal()
  const machine = createMetaMachine('data', GROUP, 0, 1, kv, signal)
  await machine.open()
  const entries = Array.from({ length: sessions }, (_, at) => normalEntry(at + 1, encodeEntry([openSession(opening(`client-${at}`))])))
  await machine.apply(entries)
  return { kv, signal, machine, reads: new ReplicaReads(kv, signal) }
}

/** A snapshot whose bytes come when `open` is called. */
async function heldSnapshot(sessions: number) {
  const { machine } = await replica(sessions)
  const { index, formatVersion, chunks } = await must(machine.snapshot?.(), 'the state machine of meta has snapshots')
  let open = (): void => {}
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  async function* held(): AsyncGenerator<Buffer> {
    await gate
    yield* chunks
  }
  return { snapshot: { index, formatVersion, chunks: held() }, open }
}

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

it('R41: a read that comes while a snapshot is installed waits until the state is whole', async () => {
  const { kv, machine, reads } = await replica(3)
  const { snapshot, open } = await heldSnapshot(5)
  const installed = machine.install?.(snapshot)
  await turns(3)
  assert.equal(await kv.get(KEYS.session(opening('client-0'))), undefined, 'the old state is gone, and the new one has not come')
  const found = reads.scan(KEYS.sessions())
  const one = reads.get(KEYS.session(opening('client-0')))
  let answered = false
  void found.then(() => {
    answered = true
  })
  await turns(3)
  assert.equal(answered, false)
  open()
  await installed
  assert.equal((await found).length, 5)
  assert.notEqual(await one, undefined)
})

it('R41: a read that a snapshot has overtaken is made again', async () => {
  const { machine, reads } = await replica(3)
  const { snapshot, open } = await heldSnapshot(5)
  open()
  let times = 0
  const found = await reads.whole(async (kv) => {
    times++
    const page = await kv.scan(KEYS.sessions())
    if (times === 1) await machine.install?.(snapshot)
    return page.length
  })
  assert.deepEqual({ found, times }, { found: 5, times: 2 })
})

it('R41: entries that are applied meanwhile do not make a read wait, nor repeat it', async () => {
  const { machine, reads } = await replica(1)
  let times = 0
  await reads.whole(async (kv) => {
    times++
    await machine.apply([normalEntry(2, encodeEntry([openSession(opening('other'))]))])
    return kv.scan(KEYS.sessions())
  })
  assert.equal(times, 1)
})
