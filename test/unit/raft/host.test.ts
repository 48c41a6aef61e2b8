// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPlatformError } from '../../../src/base/error.ts'
import { ERROR_CODES } from '../../../src/base/error-code.ts'
import { RaftHost, type RaftHostOptions } from '../../../src/raft/host.ts'
import type { RaftGroup } from '../../../src/raft/raft-group.ts'
import { FakeLogStore, type FakePorts, fakePorts, Outcomes, RecordingMachine, settled } from './fakes.ts'

interface Node extends FakePorts {
  readonly host: RaftHost
  readonly store: FakeLogStore
  readonly memory: FakeLogStore
  readonly machine: RecordingMachine
  readonly group: RaftGroup
  readonly outcomes: Outcomes
}

/** A host with the durable group 1, not started. */
function newNode(given: { store?: FakeLogStore; machine?: RecordingMachine; options?: Partial<RaftHostOptions> } = {}): Node {
  const fake = fakePorts()
  const store = given.store ?? new FakeLogStore()
  const memory = new FakeLogStore()
  const machine = given.machine ?? new RecordingMachine()
  const host = new RaftHost(fake.ports, { durable: store, ephemeral: memory }, { nodeId: 1, ...given.options })
  const group = host.createGroup({ id: 1, machine, store: 'durable' })
  return { ...fake, host, store, memory, machine, group, outcomes: new Outcomes() }
}

async function startNode(given: Parameters<typeof newNode>[0] = {}): Promise<Node> {
  const node = newNode(given)
  await node.host.start()
  return node
}

const propose = ({ group, outcomes }: Pick<Node, 'group' | 'outcomes'>, name: string): void =>
  group.propose(Buffer.from(name), outcomes.waiter(name))

const commandsOf = (node: Node, at: number): readonly string[] =>
  node.store.writes[at]?.batch.flatMap(({ entries }) => entries.map(({ data }) => data.toString())) ?? []

test('a new group begins durably with this node as its only voter, and leads when the host has started', async () => {
  const { store, group, machine, host } = await startNode()
  assert.deepEqual(store.writes[0], {
    batch: [
      {
        group: 1,
        entries: [],
        hardState: { term: 0, vote: 0, commit: 0 },
        start: { index: 0, term: 0, conf: { voters: [1], learners: [], outgoing: [], learnersNext: [] } },
      },
    ],
    sync: true,
  })
  assert.equal(group.leads, true)
  assert.deepEqual(machine.events, ['leads term 1 at 1'])
  assert.equal(host.unready(), undefined)
})

test('single voters need no timer', async () => {
  const { timers } = await startNode()
  assert.equal(timers.length, 0)
})

test('a proposal is answered when it is durable and applied, not before (R6)', async () => {
  const node = await startNode()
  node.store.manual = true
  propose(node, 'a')
  await settled()
  assert.deepEqual([node.outcomes.told, node.machine.commands], [[], []])
  node.store.complete()
  await settled()
  assert.deepEqual(node.outcomes.told, ['a committed at 2: A'])
})

test('proposals of one turn share a write, and those that come while the disk is busy share the next (M1, R57)', async () => {
  const node = await startNode()
  node.store.manual = true
  const writesBefore = node.store.writes.length
  for (const name of ['a', 'b', 'c']) propose(node, name)
  await settled()
  for (const name of ['d', 'e']) propose(node, name)
  await settled()
  assert.equal(node.store.writes.length, writesBefore + 1)
  node.store.complete()
  await settled()
  node.store.complete()
  await settled()
  assert.deepEqual(
    [commandsOf(node, writesBefore), commandsOf(node, writesBefore + 1)],
    [
      ['a', 'b', 'c'],
      ['d', 'e'],
    ],
  )
  assert.deepEqual(node.machine.commands, ['a', 'b', 'c', 'd', 'e'])
  assert.equal(node.outcomes.told.length, 5)
})

test('groups share the write and its sync (M1)', async () => {
  const node = newNode()
  const other = node.host.createGroup({ id: 2, machine: new RecordingMachine(), store: 'durable' })
  await node.host.start()
  const writesBefore = node.store.writes.length
  propose(node, 'a')
  propose({ ...node, group: other }, 'b')
  await settled()
  assert.equal(node.store.writes.length, writesBefore + 1)
  assert.deepEqual([commandsOf(node, writesBefore), node.store.writes.at(-1)?.sync], [['a', 'b'], true])
})

test('the next write begins before the entries of the last are applied', async () => {
  const node = await startNode()
  node.store.manual = true
  propose(node, 'a')
  await settled()
  let wasWriting = false
  const waiter = { committed: () => (wasWriting = node.store.isWriting), failed: () => assert.fail('it is committed') }
  node.group.propose(Buffer.from('b'), waiter)
  node.store.complete()
  await settled()
  propose(node, 'c')
  node.store.complete()
  await settled()
  assert.equal(wasWriting, true)
})

test('ephemeral groups never wait for the disk, and are done in the turn in which they began', async () => {
  const node = newNode()
  const group = node.host.createGroup({ id: 2, machine: new RecordingMachine(), store: 'ephemeral' })
  await node.host.start()
  node.store.manual = true
  propose(node, 'slow')
  propose({ ...node, group }, 'fast')
  for (let turn = 0; turn < 4; turn++) await Promise.resolve()
  assert.deepEqual(node.outcomes.told, ['fast committed at 2: FAST'])
  assert.equal(node.store.isWriting, true)
})

test('a full write leaves the remaining groups to the next one (R9)', async () => {
  const node = newNode({ options: { writeBytesMax: 4 } })
  const other = node.host.createGroup({ id: 2, machine: new RecordingMachine(), store: 'durable' })
  await node.host.start()
  const writesBefore = node.store.writes.length
  propose(node, 'first')
  propose({ ...node, group: other }, 'second')
  await settled()
  assert.deepEqual([commandsOf(node, writesBefore), commandsOf(node, writesBefore + 1)], [['first'], ['second']])
})

test('after a write that failed the process ends, and nothing is acknowledged or written any more (R48)', async () => {
  const node = await startNode()
  node.store.manual = true
  propose(node, 'a')
  await settled()
  propose(node, 'b')
  const writes = node.store.writes.length
  node.store.complete(new Error('input/output error'))
  await settled()
  propose(node, 'c')
  await settled()
  assert.equal(node.crashes.length, 1)
  assert.ok(isPlatformError(node.crashes[0], ERROR_CODES.diskFailed))
  assert.match(node.crashes[0].message, /durable log failed, and the process ends: input\/output error/)
  assert.deepEqual([node.outcomes.told, node.store.writes.length], [[], writes])
})

test('a state machine that throws ends the process and its proposer hears nothing (R53)', async () => {
  const node = await startNode()
  node.machine.fault = new Error('no such column')
  propose(node, 'a')
  await settled()
  assert.match(String(node.crashes[0]?.message), /state machine of raft group 1 failed after entry 1: no such column/)
  const writes = node.store.writes.length
  propose(node, 'b')
  await settled()
  assert.deepEqual([node.outcomes.told, node.store.writes.length], [[], writes])
})

test('when one log fails, what the groups of the other were doing is not acknowledged either (R48)', async () => {
  const node = newNode()
  const group = node.host.createGroup({ id: 2, machine: new RecordingMachine(), store: 'ephemeral' })
  await node.host.start()
  let open: () => void = () => assert.fail('the gate has no door')
  node.machine.gate = new Promise((resolve) => {
    open = resolve
  })
  propose(node, 'a')
  await settled()
  node.memory.manual = true
  propose({ ...node, group }, 'b')
  await settled()
  node.memory.complete(new Error('out of memory'))
  await settled()
  open()
  await settled()
  assert.deepEqual([node.crashes.length, node.outcomes.told], [1, []])
})

test('a restart applies from the log what the state machine lacks, in order, and answers reads only then (R8, R29)', async () => {
  const before = await startNode()
  for (const name of ['a', 'b', 'c']) propose(before, name)
  await settled()
  // The state machine's store kept entry 2, whose command is a; what came later was not yet synced.
  const after = newNode({ store: new FakeLogStore(before.store.content), machine: new RecordingMachine(2) })
  await assert.rejects(after.group.readIndex(), (error) => isPlatformError(error, ERROR_CODES.notReady))
  await after.host.start()
  assert.deepEqual(after.machine.commands, ['b', 'c'])
  assert.deepEqual(after.machine.events, ['leads term 2 at 5'])
  await after.group.readIndex()
})

test('a restart writes nothing but its election', async () => {
  const before = await startNode()
  const after = await startNode({ store: new FakeLogStore(before.store.content), machine: new RecordingMachine(1) })
  assert.equal(after.store.writes.length, 2)
  assert.deepEqual(after.store.writes[0]?.batch[0]?.hardState, { term: 2, vote: 1, commit: 1 })
  assert.deepEqual(
    after.store.writes[1]?.batch[0]?.entries.map(({ kind, term, index }) => `${term}:${index} ${kind}`),
    ['2:2 empty'],
  )
})

test('a state that is ahead of its log is damage, told with what to do', async () => {
  const node = newNode({ machine: new RecordingMachine(7) })
  await assert.rejects(node.host.start(), (error) => {
    assert.ok(isPlatformError(error, ERROR_CODES.dataDamaged))
    assert.match(
      error.message,
      /raft group 1: the log has lost entries that were applied: the state covers entry 7, the log holds entries 1 to 0/,
    )
    assert.match(error.message, /Restore the data directory/)
    return true
  })
  assert.equal(node.store.writes.length, 0)
})

test('a group in the log that the node does not run is kept, and told about (R50)', async () => {
  const before = await startNode()
  const fake = fakePorts()
  const store = new FakeLogStore(before.store.content)
  const host = new RaftHost(fake.ports, { durable: store }, { nodeId: 1 })
  await host.start()
  assert.match(fake.warnings[0] ?? '', /does not run; they are kept/)
  assert.equal(store.content.has(1), true)
})

test('a log over its limit is dropped up to what the state machines hold durably (R42)', async () => {
  const node = await startNode({ options: { walBytesMax: 1000 } })
  propose(node, 'a')
  await settled()
  node.store.held = {
    bytes: 2000,
    holders: [
      { group: 1, compactTo: 2 },
      { group: 77, compactTo: 5 },
    ],
  }
  propose(node, 'b'.repeat(100))
  await settled()
  assert.equal(node.machine.durable, 3)
  assert.equal(node.store.content.get(1)?.start.index, 3)
  assert.equal(node.store.reclaims, 1)
})

test('the log is not given back before the new start is durable', async () => {
  const node = await startNode({ options: { walBytesMax: 1000 } })
  node.store.held = { bytes: 2000, holders: [{ group: 1, compactTo: 1 }] }
  propose(node, 'b'.repeat(100))
  // Completing the write by hand from now on holds the write of the start.
  node.store.manual = true
  await settled()
  node.store.complete()
  await settled()
  assert.equal(node.store.writes.at(-1)?.batch[0]?.start?.index, 2)
  assert.equal(node.store.reclaims, 0)
  propose(node, 'c')
  node.store.complete()
  await settled()
  assert.equal(node.store.reclaims, 1)
})

test('proposals go on while the log is reclaimed', async () => {
  const node = await startNode({ options: { walBytesMax: 1000 } })
  let finish: (index: number) => void = () => assert.fail('nothing was persisted')
  node.machine.persist = () => new Promise((resolve) => (finish = resolve))
  node.store.held = { bytes: 2000, holders: [{ group: 1, compactTo: 1 }] }
  propose(node, 'b'.repeat(100))
  await settled()
  propose(node, 'c')
  await settled()
  assert.equal(node.outcomes.told.at(-1), 'c committed at 3: C')
  finish(2)
  await settled()
  assert.equal(node.store.content.get(1)?.start.index, 2)
})

class ReferringMachine extends RecordingMachine {
  neededFrom = 0
}

test('L28: a retained log keeps what its state machine refers to, whatever it holds, and gives back the rest when it is asked to', async () => {
  const fake = fakePorts()
  const retained = new FakeLogStore()
  const machine = new ReferringMachine()
  const host = new RaftHost(fake.ports, { durable: new FakeLogStore(), retained }, { nodeId: 1, walBytesMax: 1000 })
  const group = host.createGroup({ id: 7, machine, store: 'retained' })
  await host.start()
  const outcomes = new Outcomes()
  for (const name of ['a', 'b', 'c']) group.propose(Buffer.alloc(2000, name), outcomes.waiter(name))
  retained.held = { bytes: 6000, holders: [{ group: 7, compactTo: 3 }] }
  await settled()
  await host.reclaimRetained()
  assert.equal(retained.content.get(7)?.start.index, 0)
  machine.neededFrom = 3
  await host.reclaimRetained()
  assert.equal(retained.content.get(7)?.start.index, 2)
  assert.equal(machine.durable, 4)
  assert.equal(retained.reclaims, 2)
  await host.stop()
})

test('stopping refuses what is new, finishes what was accepted, persists the state and closes the stores', async () => {
  const node = await startNode()
  node.store.manual = true
  propose(node, 'a')
  await settled()
  const stopped = node.host.stop()
  propose(node, 'b')
  await assert.rejects(node.group.readIndex(), (error) => isPlatformError(error, ERROR_CODES.stopping))
  assert.equal(node.store.closed, false)
  node.store.complete()
  await stopped
  assert.deepEqual(node.outcomes.told, ['b failed: stopping', 'a committed at 2: A'])
  assert.deepEqual([node.machine.durable, node.store.closed, node.memory.closed], [2, true, true])
  assert.equal(node.host.unready(), 'raft is stopped')
})

test('a host that could not start can be stopped', async () => {
  const node = newNode({ machine: new RecordingMachine(7) })
  await assert.rejects(node.host.start())
  await node.host.stop()
  assert.equal(node.store.closed, true)
})

test('writes are measured by store', async () => {
  const node = await startNode()
  propose(node, 'four')
  await settled()
  assert.deepEqual(node.measured.get('robustmq_raft_write_size_bytes durable')?.at(-1), 4)
  assert.deepEqual(node.measured.get('robustmq_raft_write_entries durable')?.at(-1), 1)
  assert.equal(node.measured.get('robustmq_raft_write_duration_seconds durable')?.length, 3)
  assert.deepEqual(node.measured.get('robustmq_raft_write_size_bytes ephemeral'), [])
})
