// SPDX-License-Identifier: Apache-2.0
// The service as a component: how commands become entries, and how it begins and ends.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PlatformError } from '#base/error'
import { ERROR_CODES, type ErrorCode } from '#base/error-code'
import { client, createMetaNode, cursor, NOW_MS, opening, retainedWrite, subscription } from '../meta-node.ts'

const withCode = (code: ErrorCode) => (error: unknown) => error instanceof PlatformError && error.code === code

describe('D9: commands of one turn', () => {
  it('become one entry for each group', async () => {
    const { service, data, offset, metadata } = await createMetaNode()
    await Promise.all([
      ...Array.from({ length: 100 }, (_, at) => service.openSession(opening(`c${at}`))),
      service.retain([retainedWrite('t', 1, 'x')]),
      service.saveCursors([{ uid: 5, epoch: 1, cursors: [cursor(1, 1)] }]),
      service.registerNode(1, NOW_MS),
    ])
    assert.deepEqual([data[0]?.entries.length, offset[0]?.entries.length, metadata.entries.length], [1, 1, 1])
    await service.openSession(opening('later'))
    assert.equal(data[0]?.entries.length, 2)
  })

  it('are split when they would make a huge entry, and stay in order', async () => {
    const { service, data } = await createMetaNode()
    const big = 'x'.repeat(200_000)
    await service.retain(Array.from({ length: 20 }, (_, at) => retainedWrite('t', at, `${at}${big}`)))
    const entries = data[0]?.entries ?? []
    assert.ok(entries.length >= 4 && entries.every((entry) => entry.data.length < 1 << 19), `${entries.length} entries`)
    const [value] = await service.retained('t', undefined, 1, NOW_MS)
    assert.equal(value?.position, 19)
  })

  it('all fail with the failure of their entry, and the next turn is free', async () => {
    const { service, data } = await createMetaNode()
    const [group] = data
    assert.ok(group !== undefined)
    group.refusal = new PlatformError(ERROR_CODES.proposalDropped, 'too much uncommitted work')
    const outcomes = await Promise.allSettled([service.openSession(opening('a')), service.openSession(opening('b'))])
    for (const outcome of outcomes) assert.ok(outcome.status === 'rejected' && withCode(ERROR_CODES.proposalDropped)(outcome.reason))
    group.refusal = undefined
    assert.equal((await service.openSession(opening('a'))).present, false)
  })
})

describe('registration of a node', () => {
  it('gives each life a higher boot epoch, by node', async () => {
    const first = await createMetaNode()
    assert.deepEqual(await first.service.registerNode(1, NOW_MS), { node: 1, bootEpoch: 1 })
    assert.deepEqual(await first.service.registerNode(2, NOW_MS), { node: 2, bootEpoch: 1 })
    const second = await createMetaNode({ kv: first.kv.fork() })
    assert.deepEqual(await second.service.registerNode(1, NOW_MS), { node: 1, bootEpoch: 2 })
  })
})

describe('the life of the service', () => {
  it('is ready between start and stop', async () => {
    const { service } = await createMetaNode()
    assert.match(service.unready() ?? '', /starting/)
    await service.start()
    assert.equal(service.unready(), undefined)
    await service.stop()
    assert.match(service.unready() ?? '', /stopping/)
  })

  it('ends when all that was submitted has an outcome, and takes nothing new', async () => {
    const { service, data, clock } = await createMetaNode()
    await service.start()
    const [group] = data
    assert.ok(group !== undefined)
    const { session } = await service.openSession(opening('c'))
    group.held = true
    const order: string[] = []
    const write = service.subscribe(client('c'), session.epoch, [subscription('a')]).then(() => order.push('write'))
    const stopped = service.stop().then(() => order.push('stop'))
    await assert.rejects(service.openSession(opening('late')), withCode(ERROR_CODES.stopping))
    await assert.rejects(service.sessions(undefined, 1), withCode(ERROR_CODES.stopping))
    assert.deepEqual(order, [])
    group.release()
    await Promise.all([write, stopped])
    assert.deepEqual(order, ['write', 'stop'])
    assert.ok(clock.timers.every(({ cancelled }) => cancelled))
  })

  it('survives a collection that the group refuses, and tries again', async () => {
    const { service, data, clock, idle } = await createMetaNode()
    await service.start()
    await service.retain([retainedWrite('t', 1, 'x', NOW_MS - 1)])
    const [group] = data
    assert.ok(group !== undefined)
    group.refusal = new PlatformError(ERROR_CODES.proposalDropped, 'too much uncommitted work')
    clock.timers.pop()?.fire()
    while (clock.timers.length === 0) await idle()
    assert.equal(service.retainedCount(), 1)
    group.refusal = undefined
    clock.timers.pop()?.fire()
    while (clock.timers.length === 0) await idle()
    assert.equal(service.retainedCount(), 0)
    await service.stop()
  })
})
