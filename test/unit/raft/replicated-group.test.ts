// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPlatformError } from '../../../src/base/error.ts'
import { ERROR_CODES } from '../../../src/base/error-code.ts'
import { RecordingMachine } from './fakes.ts'
import { type Member, Trio } from './trio.ts'

const propose = ({ group, outcomes }: Member, name: string): void => group.propose(Buffer.from(name), outcomes.waiter(name))

const told = ({ outcomes }: Member): readonly string[] => outcomes.told.map((line) => line.replace(/ at \d+/, ''))

async function startTrio(): Promise<{ readonly trio: Trio; readonly leader: Member; readonly followers: readonly [Member, Member] }> {
  const trio = new Trio()
  for (const id of [1, 2, 3]) trio.add(id)
  const leader = await trio.leader()
  const members = [...trio.members.values()]
  let started = false
  void Promise.all(members.map(({ starting }) => starting)).then(() => {
    started = true
  })
  await trio.until(() => started)
  const followers = members.filter((member) => member !== leader)
  return { trio, leader, followers: followers as [Member, Member] }
}

const allApplied = (trio: Trio, ...commands: readonly string[]): Promise<void> =>
  trio.until(() => [...trio.members.values()].every(({ machine }) => machine.commands.join() === commands.join()))

test('three voters start when one of them leads; a command is committed wherever it is proposed, and its reply is told there', async () => {
  const { trio, leader, followers } = await startTrio()
  propose(leader, 'a')
  await allApplied(trio, 'a')
  propose(followers[0], 'b')
  await allApplied(trio, 'a', 'b')
  propose(followers[1], 'c')
  await allApplied(trio, 'a', 'b', 'c')
  assert.deepEqual([told(leader), told(followers[0]), told(followers[1])], [['a committed: A'], ['b committed: B'], ['c committed: C']])
})

test('a read on a follower sees what was committed before it (R26)', async () => {
  const { trio, leader, followers } = await startTrio()
  propose(leader, 'a')
  await trio.until(() => leader.outcomes.told.length === 1)
  let seen: string | undefined
  void followers[0].group.readIndex().then(() => {
    seen = followers[0].machine.commands.join()
  })
  await trio.until(() => seen !== undefined)
  assert.equal(seen, 'a')
})

test('a leader that is cut off acknowledges nothing; the others go on, and it follows them when it is back', async () => {
  const { trio, leader, followers } = await startTrio()
  trio.wire.isolate(leader.id)
  propose(leader, 'lost')
  await trio.until(() => followers.some(({ group }) => group.leads))
  const successor = followers.find(({ group }) => group.leads) as Member
  propose(successor, 'kept')
  await trio.until(() => successor.outcomes.told.length === 1 && !leader.group.leads)
  assert.deepEqual(leader.machine.commands, [])
  trio.wire.heal()
  await allApplied(trio, 'kept')
  await trio.until(() => leader.outcomes.told.length === 1)
  assert.match(leader.outcomes.told[0] ?? '', /lost failed: (outcome-unknown|not-leader)/)
})

test('a voter that was down catches up from the log', async () => {
  const { trio, leader, followers } = await startTrio()
  const { id, store, disk, machine } = trio.kill(followers[0].id)
  for (const name of ['a', 'b', 'c']) propose(leader, name)
  await allApplied(trio, 'a', 'b', 'c')
  trio.add(id, { store: store.next(), disk, machine: new RecordingMachine() })
  await allApplied(trio, 'a', 'b', 'c')
  assert.deepEqual(machine.commands, [])
})

test('a voter that lacks what the log no longer has is sent the state, and goes on from there (R38, R41)', async () => {
  const { trio, leader, followers } = await startTrio()
  const down = trio.kill(followers[0].id)
  for (const name of ['a', 'b', 'c']) propose(leader, name)
  await allApplied(trio, 'a', 'b', 'c')
  await leader.compact()
  const back = trio.add(down.id, { store: down.store.next(), disk: down.disk })
  await allApplied(trio, 'a', 'b', 'c')
  propose(leader, 'd')
  await allApplied(trio, 'a', 'b', 'c', 'd')
  assert.ok(back.machine.events.some((event) => event.startsWith('installed')))
  assert.deepEqual(back.disk.paths(), [])
})

test('an installation that a crash has broken off is begun again at the next start (R41)', async () => {
  const { trio, leader, followers } = await startTrio()
  const down = trio.kill(followers[0].id)
  for (const name of ['a', 'b', 'c']) propose(leader, name)
  await allApplied(trio, 'a', 'b', 'c')
  await leader.compact()
  const machine = new RecordingMachine()
  const install = machine.install.bind(machine)
  let broken = false
  machine.install = async () => {
    broken = true
    return new Promise<void>(() => {})
  }
  const store = down.store.next()
  trio.add(down.id, { store, disk: down.disk, machine })
  await trio.until(() => broken)
  trio.kill(down.id)
  machine.install = install
  const back = trio.add(down.id, { store: store.next(), disk: down.disk, machine })
  await allApplied(trio, 'a', 'b', 'c')
  assert.deepEqual(back.disk.paths(), [])
})

test('a follower whose state is not that of its leader ends itself (R51)', async () => {
  const { trio, leader, followers } = await startTrio()
  for (const { machine, id } of trio.members.values()) machine.hashes.set(64, id === followers[1].id ? 2 : 1)
  for (let count = 0; count < 70; count++) propose(leader, 'x')
  await trio.until(() => followers[1].crashes.length > 0)
  assert.match(String(followers[1].crashes[0]), /differs from that of its leader after entry 64/)
  assert.deepEqual([leader.crashes, followers[0].crashes], [[], []])
})

test('a new node is a learner first, is promoted, and may then be the majority together with one other', async () => {
  const { trio, leader, followers } = await startTrio()
  propose(leader, 'a')
  await allApplied(trio, 'a')
  const joining = trio.add(4)
  let step = 0
  void leader.group.changeMembers([{ kind: 'addLearner', node: 4 }]).then(() => step++)
  await trio.until(() => step === 1 && joining.machine.commands.length === 1)
  void leader.group.changeMembers([{ kind: 'addVoter', node: 4 }]).then(() => step++)
  await trio.until(() => step === 2)
  void leader.group.changeMembers([{ kind: 'remove', node: followers[0].id }]).then(() => step++)
  await trio.until(() => step === 3)
  trio.kill(followers[0].id)
  propose(leader, 'b')
  await allApplied(trio, 'a', 'b')
  assert.deepEqual(joining.group.status().conf.voters, [leader.id, followers[1].id, 4].sort())
})

test('leadership can be handed to another voter, and a stopping leader hands it over by itself (R37)', async () => {
  const { trio, leader, followers } = await startTrio()
  let done = false
  void leader.group.transferLeadership(followers[0].id).then(() => {
    done = true
  })
  await trio.until(() => done && followers[0].group.leads)
  let stopped = false
  void followers[0].host.stop().then(() => {
    stopped = true
  })
  await trio.until(() => stopped)
  await trio.until(() => leader.group.leads || followers[1].group.leads, 5)
})

test('a node that reaches no others waits, says so, and can be stopped', async () => {
  const trio = new Trio()
  const alone = trio.add(1)
  let outcome: unknown
  alone.starting.catch((error: unknown) => {
    outcome = error
  })
  await trio.until(() => alone.warnings.length > 0)
  assert.match(alone.warnings[0] ?? '', /waiting for a majority/)
  assert.match(alone.host.unready() ?? '', /raft is starting/)
  alone.host.interrupt()
  await trio.until(() => outcome !== undefined)
  assert.ok(isPlatformError(outcome, ERROR_CODES.stopping))
  await alone.host.stop()
})
