// SPDX-License-Identifier: Apache-2.0
// Snapshots of a meta group: bit by bit the state they were taken of, whatever the receiver had before (R38-R43).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ERROR_CODES } from '#base/error-code'
import type { Kv } from '#base/port/kv'
import { AppliedSignal, createMetaMachine } from '#meta'
import type { StateMachine } from '#raft'
import { type Command, encodeEntry } from '../../../../src/meta/command/command.ts'
import { retain } from '../../../../src/meta/command/retained-command.ts'
import * as session from '../../../../src/meta/command/session-command.ts'
import { normalEntry } from '../fake-group.ts'
import { MemoryKv } from '../memory-kv.ts'
import { client, NOW_MS, opening, retainedWrite, subscription } from '../meta-node.ts'

const CHUNK_BYTES_MAX = 1 << 18
const machineOn = (kv: Kv): StateMachine => createMetaMachine('data', 7, 0, 1, kv)
const entryOf = (index: number, ...commands: Command<unknown>[]) => normalEntry(index, encodeEntry(commands))
const retained = (topic: string, position: number, text: string): Command<unknown> =>
  retain('default', NOW_MS, [retainedWrite(topic, position, text)])

/** A machine with some sessions, many small values, and one larger than a chunk. */
async function createState(): Promise<{ kv: MemoryKv; machine: StateMachine; index: number }> {
  const kv = new MemoryKv()
  const machine = machineOn(kv)
  const open = session.openSession(opening('c'))
  const subscribe = session.subscribe(client('c'), 1, [subscription('a/#'), subscription('b')])
  await machine.apply([entryOf(1, open, subscribe), entryOf(2, retained('big', 1, 'x'.repeat(CHUNK_BYTES_MAX * 2 + 77)))])
  const many = Array.from({ length: 2000 }, (_, at) => retained(`t/${at}`, at, `value ${at} ${'y'.repeat(at % 300)}`))
  await machine.apply([entryOf(3, ...many)])
  await machine.persist()
  return { kv, machine, index: 3 }
}

interface Taken {
  readonly index: number
  readonly formatVersion: number
  readonly parts: readonly Buffer[]
}

async function take(machine: StateMachine): Promise<Taken> {
  const snapshot = await machine.snapshot?.()
  assert.ok(snapshot !== undefined)
  const parts: Buffer[] = []
  for await (const chunk of snapshot.chunks) parts.push(Buffer.from(chunk))
  await snapshot.close()
  return { index: snapshot.index, formatVersion: snapshot.formatVersion, parts }
}

async function* chunksOf(parts: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* parts
}

const installed = ({ index, formatVersion, parts }: Taken) => ({ index, formatVersion, chunks: chunksOf(parts) })
/** All but the key of `persist`, which belongs to its store. */
const stateOf = (kv: MemoryKv): string[] => kv.dump().filter((pair) => !pair.startsWith('6d0000000702='))

describe('a snapshot', () => {
  it('is the same state bit by bit on the other side, with its index and its hash, and goes on the same', async () => {
    const { kv, machine, index } = await createState()
    const taken = await take(machine)
    assert.equal(taken.index, index)
    assert.ok(taken.parts.every((part) => part.length > 0 && part.length <= CHUNK_BYTES_MAX))
    const other = new MemoryKv()
    const receiver = machineOn(other)
    await receiver.install?.(installed(taken))
    assert.deepEqual(stateOf(other), stateOf(kv))
    assert.equal(await machineOn(other).open(), index)
    const next = [entryOf(4, session.openSession(opening('c'))), entryOf(5, retained('t/1', 9999, ''))]
    assert.deepEqual(await receiver.apply(next), await machine.apply(next))
    assert.deepEqual(stateOf(other), stateOf(kv))
  })

  it('is of the moment it was taken, although applying goes on while it is read', async () => {
    const { kv, machine } = await createState()
    const before = stateOf(kv)
    const snapshot = await machine.snapshot?.()
    assert.ok(snapshot !== undefined)
    await machine.apply([entryOf(4, retained('t/1', 9999, 'later'), retained('zz', 1, 'new'))])
    const other = new MemoryKv()
    await machineOn(other).install?.(snapshot)
    await snapshot.close()
    assert.deepEqual(stateOf(other), before)
  })

  it('of a group without any entry is of index 0', async () => {
    assert.equal((await machineOn(new MemoryKv()).snapshot?.())?.index, 0)
  })

  it('survives any cut of its bytes into chunks', async () => {
    const kv = new MemoryKv()
    const machine = machineOn(kv)
    await machine.apply([entryOf(1, session.openSession(opening('c')), retained('t', 1, 'x'))])
    const taken = await take(machine)
    const whole = Buffer.concat(taken.parts)
    for (const size of [1, 2, 3, 7, 8, 9, 50]) {
      const parts = Array.from({ length: Math.ceil(whole.length / size) }, (_, at) => whole.subarray(at * size, (at + 1) * size))
      const other = new MemoryKv()
      await machineOn(other).install?.(installed({ ...taken, parts }))
      assert.deepEqual(stateOf(other), stateOf(kv))
    }
  })
})

describe('an installation', () => {
  it('replaces all that it finds of the group, and nothing of another', async () => {
    const { kv, machine } = await createState()
    const taken = await take(machine)
    const other = new MemoryKv()
    await machineOn(other).apply([entryOf(1, retained('stale', 5, 'must go'), session.openSession(opening('gone')))])
    await createMetaMachine('data', 8, 0, 1, other).apply([entryOf(1, retained('neighbour', 1, 'stays'))])
    const neighbours = other.dump().filter((pair) => pair.startsWith('6d00000008'))
    await machineOn(other).install?.(installed(taken))
    assert.deepEqual(
      stateOf(other).filter((pair) => pair.startsWith('6d00000007')),
      stateOf(kv),
    )
    assert.deepEqual(
      other.dump().filter((pair) => pair.startsWith('6d00000008')),
      neighbours,
    )
  })

  it('ends with one synced write, the one that brings the applied record; before it there is no state', async () => {
    const taken = await take((await createState()).machine)
    const other = new MemoryKv()
    await machineOn(other).apply([entryOf(1, retained('stale', 5, 'must go'))])
    other.writes.length = 0
    await machineOn(other).install?.(installed(taken))
    assert.deepEqual(
      other.writes.map(({ sync }) => sync),
      other.writes.map((_, at) => at === other.writes.length - 1),
    )
    assert.ok(other.writes.length > 8 && other.writes.every(({ operations }) => operations <= 257))
  })

  it('that a crash has ended anywhere is seen to be no state, and is right when it is made again', async () => {
    const { kv, machine } = await createState()
    const taken = await take(machine)
    for (let kept = 1; kept <= taken.parts.length; kept += 2) {
      const other = new MemoryKv()
      await machineOn(other).apply([entryOf(1, retained('stale', 5, 'must go'))])
      const broken = { ...taken, parts: taken.parts.slice(0, kept - 1) }
      await assert.rejects(async () => machineOn(other).install?.(installed(broken)), { code: ERROR_CODES.dataDamaged })
      assert.equal(await machineOn(other).open(), 0)
      await machineOn(other).install?.(installed(taken))
      assert.deepEqual(stateOf(other), stateOf(kv))
    }
  })

  it('tells those who watch the state', async () => {
    const taken = await take((await createState()).machine)
    const signal = new AppliedSignal()
    let raised = 0
    signal.listen(() => raised++)
    await createMetaMachine('data', 7, 0, 1, new MemoryKv(), signal).install?.(installed(taken))
    assert.equal(raised, 1)
  })

  it('R43, R55: refuses a stream that is cut short, has lost a pair, or is of an unknown format', async () => {
    const taken = await take((await createState()).machine)
    const whole = Buffer.concat(taken.parts)
    const refuses = (changes: Partial<Taken>, code: (typeof ERROR_CODES)['internal']) =>
      assert.rejects(async () => machineOn(new MemoryKv()).install?.(installed({ ...taken, ...changes })), { code })
    await refuses({ parts: [whole.subarray(0, whole.length - 1)] }, ERROR_CODES.dataDamaged)
    await refuses({ parts: [whole.subarray(0, whole.length - 16)] }, ERROR_CODES.dataDamaged)
    await refuses({ parts: [whole, whole] }, ERROR_CODES.dataDamaged)
    const first = 8 + whole.readUInt32BE(0) + whole.readUInt32BE(4)
    await refuses({ parts: [whole.subarray(first)] }, ERROR_CODES.dataDamaged)
    await refuses({ formatVersion: 2 }, ERROR_CODES.dataVersion)
  })
})

describe('R51: the hash of the state', () => {
  const entries = Array.from({ length: 300 }, (_, at) =>
    at % 7 === 3
      ? { index: at + 1, term: 1, kind: 'empty' as const, data: Buffer.alloc(0) }
      : entryOf(at + 1, retained(`t/${at % 5}`, at, `${at}`), session.openSession(opening(`c${at % 3}`))),
  )

  it('is equal on replicas that got the same entries in other batches, at each multiple of 64', async () => {
    const [one, other] = [machineOn(new MemoryKv()), machineOn(new MemoryKv())]
    await one.apply(entries)
    for (let at = 0; at < entries.length; at += 11) await other.apply(entries.slice(at, at + 11))
    for (const index of [64, 128, 192, 256]) {
      assert.notEqual(one.stateHash?.(index), undefined)
      assert.equal(one.stateHash?.(index), other.stateHash?.(index))
    }
    assert.equal(new Set([64, 128, 192, 256].map((index) => one.stateHash?.(index))).size, 4)
    assert.deepEqual([one.stateHash?.(65), one.stateHash?.(320)], [undefined, undefined])
  })

  it('goes on after a restart and from a snapshot', async () => {
    const straight = machineOn(new MemoryKv())
    await straight.apply(entries)
    const kv = new MemoryKv()
    await machineOn(kv).apply(entries.slice(0, 100))
    const restarted = machineOn(kv)
    await restarted.open()
    await restarted.apply(entries.slice(100, 200))
    const receiver = machineOn(new MemoryKv())
    await receiver.install?.(installed(await take(restarted)))
    await receiver.apply(entries.slice(200))
    assert.equal(receiver.stateHash?.(128), undefined)
    assert.equal(restarted.stateHash?.(128), straight.stateHash?.(128))
    assert.equal(receiver.stateHash?.(256), straight.stateHash?.(256))
  })

  it('differs for ever after one change that differed, be it overwritten since', async () => {
    const [one, other] = [machineOn(new MemoryKv()), machineOn(new MemoryKv())]
    await one.apply(entries)
    await other.apply(entries.map((entry) => (entry.index === 10 ? entryOf(10, retained('t/4', 9, 'not the same')) : entry)))
    assert.notEqual(one.stateHash?.(64), other.stateHash?.(64))
    assert.notEqual(one.stateHash?.(256), other.stateHash?.(256))
  })

  it('is forgotten for indexes that are long past', async () => {
    const machine = machineOn(new MemoryKv())
    const empty = (index: number) => ({ index, term: 1, kind: 'empty' as const, data: Buffer.alloc(0) })
    for (let from = 1; from <= 64 * 70; from += 64) await machine.apply(Array.from({ length: 64 }, (_, at) => empty(from + at)))
    assert.equal(machine.stateHash?.(64 * 6), undefined)
    assert.notEqual(machine.stateHash?.(64 * 7), undefined)
  })
})
