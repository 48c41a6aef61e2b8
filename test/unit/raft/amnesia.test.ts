// SPDX-License-Identifier: Apache-2.0
// A node whose disk has come back as it was earlier: it is told by whom it had acknowledged to, ends, and never takes part again (R25, R46).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPlatformError } from '../../../src/base/error.ts'
import { ERROR_CODES } from '../../../src/base/error-code.ts'
import { FakeLogStore, RecordingMachine } from './fakes.ts'
import { type Member, Trio } from './trio.ts'

async function applied(trio: Trio, ...commands: readonly string[]): Promise<void> {
  const leader = await trio.leader()
  for (const name of commands) leader.group.propose(Buffer.from(name), leader.outcomes.waiter(name))
  await trio.until(() => [...trio.members.values()].every(({ machine }) => commands.every((name) => machine.commands.includes(name))))
}

/** The follower of three that has come back with a disk of before its last acknowledgements. */
async function comeBackOld(trio: Trio): Promise<Member> {
  for (const id of [1, 2, 3]) trio.add(id)
  await applied(trio, 'a')
  const leader = await trio.leader()
  const follower = [...trio.members.values()].find((member) => member !== leader) as Member
  const old = new FakeLogStore(new Map(follower.store.content))
  await applied(trio, 'b', 'c')
  trio.kill(follower.id)
  return trio.add(follower.id, { store: old, disk: follower.disk, machine: new RecordingMachine() })
}

test('a node that has lost log which it acknowledged ends with the group, what it had, what it has, and what to do (R25, R46)', async () => {
  const trio = new Trio()
  const { id, group, disk, crashes } = await comeBackOld(trio)
  await trio.until(() => crashes.length > 0)
  const [reason] = crashes
  assert.ok(isPlatformError(reason, ERROR_CODES.dataDamaged), String(reason))
  assert.equal(reason.detail['group'], 1)
  assert.ok(Number(reason.detail['acknowledged']) > Number(reason.detail['found']))
  assert.match(reason.message, new RegExp(`cluster remove ${id} `))
  assert.equal(group.status().role, 'follower')
  assert.equal(disk.bytes('lost-log').toString(), `${reason.message}\n`)
})

test('it does not start again, though nobody is there who could tell it (R46)', async () => {
  const trio = new Trio()
  const { id, store, disk, crashes } = await comeBackOld(trio)
  await trio.until(() => crashes.length > 0)
  trio.kill(id)
  trio.wire.isolate(id)
  const again = trio.add(id, { store: store.next(), disk, machine: new RecordingMachine() })
  await assert.rejects(again.starting, (error: Error) => {
    assert.ok(isPlatformError(error, ERROR_CODES.dataDamaged))
    assert.match(error.message, /\/data\/lost-log tells that this node has lost log/)
    return true
  })
})

test('a node that cannot write down that its log is lost ends all the same', async () => {
  const trio = new Trio()
  const { disk, crashes } = await comeBackOld(trio)
  disk.fail('open')
  await trio.until(() => crashes.length > 0)
  assert.ok(isPlatformError(crashes[0], ERROR_CODES.dataDamaged))
  assert.deepEqual(disk.paths(), [])
})
