// SPDX-License-Identifier: Apache-2.0
// R55: a cluster of nodes with programs of different versions runs at the lowest of them, and is raised when the last one has come along.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { createMetaMachine, type ProgramVersion } from '#meta'
import { COMMAND, encodeEntry } from '../../../../src/meta/command/command.ts'
import { raiseClusterVersion, registerNode } from '../../../../src/meta/command/node-command.ts'
import { normalEntry } from '../fake-group.ts'
import { MemoryKv } from '../memory-kv.ts'
import { createMetaNode, NOW_MS } from '../meta-node.ts'

/** In the second version transactions came along. */
const OLD: ProgramVersion = { version: 1, commandsSince: new Map() }
const NEW: ProgramVersion = { version: 2, commandsSince: new Map([[COMMAND.transactKv, 2]]) }
const put = (node: Awaited<ReturnType<typeof createMetaNode>>) => node.service.kv.put(Buffer.from('k'), Buffer.from('v'))

describe('the registration of a node', () => {
  it('is tried until there is a leader', async () => {
    const { service, metadata, clock } = await createMetaNode()
    metadata.refusal = new PlatformError(ERROR_CODES.outcomeUnknown, 'perhaps')
    const registered = service.registerNode(1, NOW_MS)
    await new Promise((resolve) => setImmediate(resolve))
    metadata.refusal = undefined
    clock.timers.at(-1)?.fire()
    assert.deepEqual(await registered, { node: 1, bootEpoch: 1 })
  })

  it('is found when its answer does not come in time, and not repeated', async () => {
    const node = await createMetaNode({ program: NEW })
    await node.service.registerNode(1, NOW_MS)
    const before = node.metadata.entries.length
    node.metadata.answer = new PlatformError(ERROR_CODES.outcomeUnknown, 'no answer came in time')
    const registering = node.service.registerNode(1, NOW_MS + 1)
    await node.idle()
    await new Promise((resolve) => setImmediate(resolve))
    for (const { fire } of node.clock.timers.splice(0)) fire()
    assert.deepEqual(await registering, { node: 1, bootEpoch: 2 })
    assert.equal(node.metadata.entries.length, before + 1)
  })

  it('of an earlier life is none of this one', async () => {
    const node = await createMetaNode({ program: NEW })
    await node.service.registerNode(1, NOW_MS)
    node.metadata.refusal = new PlatformError(ERROR_CODES.outcomeUnknown, 'no answer came in time')
    const registering = node.service.registerNode(1, NOW_MS + 1)
    await new Promise((resolve) => setImmediate(resolve))
    node.metadata.refusal = undefined
    for (const { fire } of node.clock.timers.splice(0)) fire()
    assert.deepEqual(await registering, { node: 1, bootEpoch: 2 })
  })
})

describe('R55: the cluster version', () => {
  it('holds back a command that a member does not know, and lets it go when all know it', async () => {
    const old = await createMetaNode({ program: OLD })
    await old.service.registerNode(1, NOW_MS)
    await old.service.registerNode(2, NOW_MS)
    const mixed = await createMetaNode({ program: NEW, kv: old.kv.fork() })
    await mixed.service.registerNode(1, NOW_MS)
    let before = mixed.metadata.entries.length
    const session = await mixed.service.kv.openSession()
    before++
    await assert.rejects(put(mixed), { code: ERROR_CODES.notReady })
    await assert.rejects(mixed.service.kv.delete(Buffer.from('k'), { attempt: { session, sequence: 1 } }), { code: ERROR_CODES.notReady })
    assert.equal(mixed.metadata.entries.length, before)
    await mixed.service.registerNode(2, NOW_MS)
    assert.deepEqual(await put(mixed), { revision: 1 })
  })

  it('stays when a node goes back that had announced more', async () => {
    const node = await createMetaNode({ program: NEW })
    await node.service.registerNode(1, NOW_MS)
    const back = await createMetaNode({ program: OLD, kv: node.kv.fork() })
    await assert.rejects(back.service.registerNode(1, NOW_MS), { code: ERROR_CODES.dataVersion })
  })

  it('is seen by a node that another one has raised it for', async () => {
    const kv = (await createMetaNode({ program: OLD })).kv
    const seeing = await createMetaNode({ program: NEW, kv })
    await seeing.service.registerNode(7, NOW_MS)
    assert.deepEqual(await put(seeing), { revision: 1 })
  })

  it('is that of the members there are, not of those there were', async () => {
    const old = await createMetaNode({ program: OLD })
    await old.service.registerNode(1, NOW_MS)
    const members = { ids: [1, 2] }
    const node = await createMetaNode({ program: NEW, kv: old.kv.fork(), members: () => members.ids })
    await node.service.registerNode(2, NOW_MS)
    await assert.rejects(put(node), { code: ERROR_CODES.notReady })
    members.ids = [2]
    await node.service.members.removeAddress(1)
    assert.deepEqual(await put(node), { revision: 1 })
  })

  it('waits for a member that has never registered', async () => {
    const node = await createMetaNode({ program: NEW, members: () => [1, 9] })
    await node.service.registerNode(1, NOW_MS)
    await assert.rejects(put(node), { code: ERROR_CODES.notReady })
  })
})

describe('R55: a raise of the cluster version', () => {
  it('is refused by the state itself while a member that it names has not announced as much, and never lowers it', async () => {
    const machine = createMetaMachine('metadata', 1, 0, 1, new MemoryKv())
    const commands = [
      registerNode(1, NOW_MS, 3),
      registerNode(2, NOW_MS, 2),
      raiseClusterVersion(3, [1, 2]),
      raiseClusterVersion(2, [1, 2, 9]),
      raiseClusterVersion(2, [1, 2]),
      raiseClusterVersion(1, [1, 2]),
      raiseClusterVersion(3, [1]),
    ]
    const [replies] = (await machine.apply([normalEntry(1, encodeEntry(commands))])) as [unknown[]]
    assert.deepEqual(replies.slice(2), [1, 1, 2, 2, 3])
  })
})
