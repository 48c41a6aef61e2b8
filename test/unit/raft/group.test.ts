// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPlatformError } from '../../../src/base/error.ts'
import { ERROR_CODES } from '../../../src/base/error-code.ts'
import { GroupDriver, type GroupOptions } from '../../../src/raft/group.ts'
import { bootstrapWrite, newGroup } from '../../../src/raft/restore.ts'
import { FakeLogStore, Outcomes, RecordingMachine, settled } from './fakes.ts'

interface Bench {
  readonly group: GroupDriver
  readonly machine: RecordingMachine
  readonly outcomes: Outcomes
  readonly crashes: Error[]
  /** Does what a pipeline does: writes until there is nothing more to write. */
  readonly write: () => void
}

function newBench(limits: Partial<GroupOptions['limits']> = {}, applyBytesMax = 1_000_000): Bench {
  const machine = new RecordingMachine()
  const crashes: Error[] = []
  const store = new FakeLogStore()
  void store.write([bootstrapWrite(newGroup(1, 1))], { sync: true })
  const group: GroupDriver = new GroupDriver(machine, store, {
    id: 1,
    node: 1,
    limits: {
      uncommittedBytesMax: 1_000_000,
      windowBytesMax: 1_000_000,
      readsMax: 10,
      messageBytesMax: 1_000_000,
      inflightMessagesMax: 10,
      inflightBytesMax: 1_000_000,
      trailingBytes: 0,
      ...limits,
    },
    timing: { electionTicks: 10, heartbeatTicks: 1 },
    random: () => assert.fail('groups of one voter draw no random numbers'),
    link: undefined,
    applyBytesMax,
    schedule: () => {},
    onRefused: () => {},
    onLeader: () => {},
    onForgetful: () => {},
    crash: (reason) => {
      crashes.push(reason)
      group.halt()
      group.fail(reason)
    },
  })
  const write = (): void => {
    for (let ready = group.collect(); ready !== undefined; ready = group.collect()) {
      const { entries, hardState, start } = ready
      void store.write([{ group: 1, entries, ...(hardState && { hardState }), ...(start && { start }) }], { sync: true })
      group.written()
      group.applyCommitted()
    }
  }
  return { group, machine, outcomes: new Outcomes(), crashes, write }
}

function leadingBench(...given: Parameters<typeof newBench>): Bench {
  const bench = newBench(...given)
  bench.group.restore(newGroup(1, 1), 0)
  bench.group.tick()
  bench.write()
  return bench
}

const propose = ({ group, outcomes }: Bench, name: string): void => group.propose(Buffer.from(name), outcomes.waiter(name))

/** A gate that the test opens. */
function newGate(): { readonly closed: Promise<void>; readonly open: () => void } {
  let open: () => void = () => assert.fail('the gate has no door')
  const closed = new Promise<void>((resolve) => {
    open = resolve
  })
  return { closed, open: () => open() }
}

test('commit, apply and the answer happen in the turn in which the write completes', () => {
  const bench = leadingBench()
  propose(bench, 'a')
  propose(bench, 'b')
  bench.write()
  assert.deepEqual(bench.outcomes.told, ['a committed at 2: A', 'b committed at 3: B'])
})

test('before it is restored a group refuses everything', async () => {
  const bench = newBench()
  propose(bench, 'a')
  assert.deepEqual(bench.outcomes.told, ['a failed: not-ready'])
  await assert.rejects(bench.group.readIndex(), (error) => isPlatformError(error, ERROR_CODES.notReady))
})

test('before it leads a group refuses everything', async () => {
  const bench = newBench()
  bench.group.restore(newGroup(1, 1), 0)
  propose(bench, 'a')
  assert.deepEqual(bench.outcomes.told, ['a failed: not-leader'])
  await assert.rejects(bench.group.readIndex(), (error) => isPlatformError(error, ERROR_CODES.notLeader))
})

test('a proposal over the limit fails at once and leaves no trace (R9)', () => {
  const bench = leadingBench({ uncommittedBytesMax: 100 })
  propose(bench, 'a'.repeat(90))
  propose(bench, 'b')
  assert.deepEqual(bench.outcomes.told, ['b failed: proposal-dropped'])
  bench.write()
  propose(bench, 'c')
  bench.write()
  assert.deepEqual(bench.machine.commands, ['a'.repeat(90), 'c'])
})

test('a state machine that takes its time is given one call at a time, in order', async () => {
  const bench = leadingBench()
  const gate = newGate()
  bench.machine.gate = gate.closed
  propose(bench, 'a')
  bench.write()
  propose(bench, 'b')
  propose(bench, 'c')
  bench.write()
  assert.deepEqual(bench.machine.calls, [1, 1])
  gate.open()
  await settled()
  assert.deepEqual(bench.machine.calls, [1, 1, 2])
  assert.deepEqual(bench.outcomes.told, ['a committed at 2: A', 'b committed at 3: B', 'c committed at 4: C'])
})

test('a state machine that rejects ends the process, and nothing more is applied (R53)', async () => {
  const bench = leadingBench()
  bench.machine.gate = Promise.reject(new Error('disk full'))
  propose(bench, 'a')
  bench.write()
  propose(bench, 'b')
  bench.write()
  await settled()
  assert.match(String(bench.crashes[0]?.message), /failed after entry 1: disk full/)
  assert.deepEqual([bench.outcomes.told, bench.machine.calls], [[], [1, 1]])
})

test('entries are applied in pages of bounded size (R9)', () => {
  const bench = leadingBench({}, 200)
  for (const name of ['a', 'b', 'c', 'd', 'e']) propose(bench, name)
  bench.write()
  assert.deepEqual(bench.machine.calls, [1, 3, 2])
})

test('a read waits for what was committed when it came, applied or not (R27, R29)', async () => {
  const bench = leadingBench()
  const gate = newGate()
  bench.machine.gate = gate.closed
  propose(bench, 'a')
  bench.write()
  const read = bench.group.readIndex().then(() => bench.machine.commands.length)
  await settled()
  assert.deepEqual(bench.machine.commands, [])
  gate.open()
  assert.equal(await read, 1)
})

test('a read does not wait for what is proposed and not committed', async () => {
  const bench = leadingBench()
  propose(bench, 'a')
  await bench.group.readIndex()
  assert.deepEqual(bench.machine.commands, [])
})

test('reads that wait are bounded (R26)', async () => {
  const bench = leadingBench({ readsMax: 1 })
  const gate = newGate()
  bench.machine.gate = gate.closed
  propose(bench, 'a')
  bench.write()
  const read = bench.group.readIndex()
  await assert.rejects(bench.group.readIndex(), (error) => isPlatformError(error, ERROR_CODES.proposalDropped))
  gate.open()
  await read
})

test('a state machine is told of its leadership when it has applied all earlier terms', () => {
  const bench = newBench()
  bench.group.restore(newGroup(1, 1), 0)
  bench.group.tick()
  assert.equal(bench.group.leads, false)
  bench.write()
  assert.deepEqual([bench.machine.events, bench.group.leads], [['leads term 1 at 1'], true])
})

test('the log is dropped no further than the state is durable, and no further than is known to be applied', async () => {
  const bench = leadingBench()
  propose(bench, 'a')
  propose(bench, 'b')
  bench.write()
  bench.machine.persist = async () => 2
  const compacted = bench.group.compact()
  await settled()
  assert.equal(bench.group.collect()?.start?.index, 2)
  bench.group.written()
  bench.group.applyCommitted()
  await compacted
  bench.machine.persist = async () => 99
  const again = bench.group.compact()
  await settled()
  assert.equal(bench.group.collect()?.start?.index, 3)
  bench.group.written()
  bench.group.applyCommitted()
  await again
})
