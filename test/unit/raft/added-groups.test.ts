// SPDX-License-Identifier: Apache-2.0
// Groups that come and go while the host runs.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { RaftHost } from '../../../src/raft/host.ts'
import type { RaftGroup } from '../../../src/raft/raft-group.ts'
import { FakeLogStore, type FakePorts, fakePorts, Outcomes, RecordingMachine, settled } from './fakes.ts'

const LATE = 100

interface Node extends FakePorts {
  readonly host: RaftHost
  readonly store: FakeLogStore
  readonly outcomes: Outcomes
}

/** A host that runs, with the durable group 1. */
async function startNode(store = new FakeLogStore()): Promise<Node> {
  const fake = fakePorts()
  const host = new RaftHost(fake.ports, { durable: store, ephemeral: new FakeLogStore() }, { nodeId: 1, lateGroupsFrom: LATE })
  host.createGroup({ id: 1, machine: new RecordingMachine(), store: 'durable' })
  await host.start()
  return { ...fake, host, store, outcomes: new Outcomes() }
}

const propose = (group: RaftGroup, outcomes: Outcomes, name: string): void => group.propose(Buffer.from(name), outcomes.waiter(name))

async function add(
  { host }: Node,
  machine = new RecordingMachine(),
  store: 'durable' | 'ephemeral' | FakeLogStore = 'durable',
): Promise<RaftGroup> {
  const { group, serving } = host.addGroup({ id: LATE, machine, store })
  await serving
  return group
}

const fails = (work: Promise<void>, code: (typeof ERROR_CODES)[keyof typeof ERROR_CODES]): Promise<void> =>
  assert.rejects(work, (error) => isPlatformError(error, code))

for (const kind of ['durable', 'ephemeral', 'own'] as const)
  test(`a group that is added begins, leads and commits, and needs no timer (${kind})`, async () => {
    const node = await startNode()
    const machine = new RecordingMachine()
    const own = new FakeLogStore()
    const group = await add(node, machine, kind === 'own' ? own : kind)
    propose(group, node.outcomes, 'a')
    await settled()
    assert.deepEqual([node.outcomes.told, machine.commands, node.timers.length], [['a committed at 2: A'], ['a'], 0])
    assert.deepEqual([node.store.content.has(LATE), own.content.has(LATE)], [kind === 'durable', kind === 'own'])
    assert.equal(node.host.unready(), undefined)
  })

test('what is proposed to a group before it serves is refused', async () => {
  const node = await startNode()
  node.store.manual = true
  const { group, serving } = node.host.addGroup({ id: LATE, machine: new RecordingMachine(), store: 'durable' })
  await settled()
  propose(group, node.outcomes, 'a')
  assert.deepEqual(node.outcomes.told, ['a failed: not-ready'])
  node.store.complete()
  await settled()
  assert.equal(group.leads, false)
  assert.equal(node.host.unready(), undefined, 'a group that is coming up does not make the node unready')
  node.store.manual = false
  node.store.complete()
  await serving
})

for (const kind of ['durable', 'own'] as const)
  test(`a group is taken up as its store has it, and is no stranger until then (${kind})`, async () => {
    const first = await startNode()
    const own = new FakeLogStore()
    const group = await add(first, new RecordingMachine(), kind === 'own' ? own : 'durable')
    propose(group, first.outcomes, 'a')
    propose(group, first.outcomes, 'b')
    await settled()
    await first.host.stop()
    assert.equal(own.closed, kind === 'own')
    const next = await startNode(first.store.next())
    assert.deepEqual([next.warnings, next.host.unclaimedGroups()], [[], kind === 'own' ? [] : [LATE]])
    const machine = new RecordingMachine()
    await add(next, machine, kind === 'own' ? own.next() : 'durable')
    assert.deepEqual([machine.commands, next.host.unclaimedGroups()], [['a', 'b'], []])
  })

test('a log and a state that do not fit together are damage; nothing is written, and the group may be tried again', async () => {
  const node = await startNode()
  const writes = node.store.writes.length
  await fails(node.host.addGroup({ id: LATE, machine: new RecordingMachine(7), store: 'durable' }).serving, ERROR_CODES.dataDamaged)
  assert.equal(node.store.writes.length, writes)
  await add(node)
})

test('a store of its own that can not be opened is let go of, and the group may be tried with another', async () => {
  const node = await startNode()
  const broken = new FakeLogStore()
  broken.open = () => Promise.reject(new PlatformError(ERROR_CODES.diskFull, 'no room'))
  await fails(node.host.addGroup({ id: LATE, machine: new RecordingMachine(), store: broken }).serving, ERROR_CODES.diskFull)
  assert.deepEqual(node.crashes, [])
  const group = await add(node, new RecordingMachine(), new FakeLogStore())
  assert.equal(group.leads, true)
})

test('a group with a store of its own waits for no other write, and others not for it (D7)', async () => {
  const node = await startNode()
  const own = new FakeLogStore()
  const group = await add(node, new RecordingMachine(), own)
  node.store.manual = true
  const { group: other, serving } = node.host.addGroup({ id: LATE + 1, machine: new RecordingMachine(), store: 'ephemeral' })
  await serving
  propose(group, node.outcomes, 'a')
  propose(other, node.outcomes, 'b')
  await settled()
  assert.deepEqual(node.outcomes.told.sort(), ['a committed at 2: A', 'b committed at 2: B'])
})

test('R50: a group that is removed finishes what it has accepted, takes nothing more, and then leaves the log', async () => {
  const node = await startNode()
  const machine = new RecordingMachine()
  const group = await add(node, machine)
  node.store.manual = true
  propose(group, node.outcomes, 'a')
  await settled()
  const removed = node.host.removeGroup(LATE)
  propose(group, node.outcomes, 'b')
  assert.deepEqual(node.outcomes.told, ['b failed: stopping'])
  node.store.manual = false
  node.store.complete()
  await removed
  assert.deepEqual(node.outcomes.told, ['b failed: stopping', 'a committed at 2: A'])
  assert.deepEqual(node.store.writes.at(-1), { batch: [{ group: LATE, entries: [], dropped: true }], sync: true })
  await node.host.stop()
  assert.deepEqual([...node.store.content.keys()], [1])
})

test('R50: a group that nobody has taken up is dropped without being run; one that nobody knows is nothing', async () => {
  const first = await startNode()
  await add(first)
  await first.host.stop()
  const next = await startNode(first.store.next())
  await next.host.removeGroup(LATE)
  await next.host.removeGroup(LATE + 1)
  assert.deepEqual([next.host.unclaimedGroups(), [...next.store.content.keys()]], [[], [1]])
})

test('the store of a group that is removed is closed when what was accepted is done, and what it has is left to the caller', async () => {
  const node = await startNode()
  const own = new FakeLogStore()
  const group = await add(node, new RecordingMachine(), own)
  own.manual = true
  propose(group, node.outcomes, 'a')
  await settled()
  const removed = node.host.removeGroup(LATE)
  await settled()
  assert.equal(own.closed, false)
  own.complete()
  await removed
  assert.deepEqual([own.closed, node.outcomes.told], [true, ['a committed at 2: A']])
  await add(node, new RecordingMachine(), own.next())
})

test('nothing of a group is written after it was dropped, though it was being compacted', async () => {
  const node = await startNode()
  const machine = new RecordingMachine()
  const group = await add(node, machine)
  propose(group, node.outcomes, 'a')
  await settled()
  let persist = (): void => {}
  machine.persist = () => new Promise((resolve) => (persist = () => resolve(machine.applied)))
  node.store.held = { bytes: 2 ** 40, holders: [{ group: LATE, compactTo: 2 }] }
  propose(group, node.outcomes, 'b'.repeat(32 * 1024 * 1024))
  await settled()
  const removed = node.host.removeGroup(LATE)
  await settled()
  node.store.held = { bytes: 0, holders: [] }
  persist()
  await removed
  await settled()
  const dropped = node.store.writes.findIndex(({ batch }) => batch.some((write) => write.dropped))
  assert.ok(dropped > 0)
  assert.ok(node.store.writes.slice(0, dropped).some(({ batch }) => batch.some(({ start }) => (start?.index ?? 0) > 0)))
  assert.deepEqual(
    node.store.writes.slice(dropped + 1).flatMap(({ batch }) => batch),
    [],
  )
  assert.deepEqual(node.crashes, [])
})

test('a stop waits for a group that is coming up, and closes its store', async () => {
  const node = await startNode()
  const own = new FakeLogStore()
  let open = (): void => {}
  own.open = () => new Promise((resolve) => (open = () => resolve([])))
  const { serving } = node.host.addGroup({ id: LATE, machine: new RecordingMachine(), store: own })
  const refused = fails(serving, ERROR_CODES.stopping)
  let hasStopped = false
  const stopped = node.host.stop().then(() => {
    hasStopped = true
  })
  await settled()
  assert.equal(hasStopped, false)
  open()
  await stopped
  await refused
  assert.deepEqual([own.closed, own.writes], [true, []])
})
