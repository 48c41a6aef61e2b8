// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { batchOf, EngineNode, NotingSink, recordsOf, settled } from '../engine-node.ts'

const LOG = 0
const MEMORY_LOG = 1

const positions = (seen: readonly { readonly position: number }[]): number[] => seen.map(({ position }) => position)

test('positions are dense, given at the proposal, and an append is answered after its commit only', async () => {
  const node = await EngineNode.start()
  const first = node.append(LOG, batchOf([{ topic: 'a' }, { topic: 'b' }]))
  const second = node.append(LOG, batchOf([{ topic: 'a' }]))
  await settled()
  assert.equal(first.outcome, undefined)
  assert.deepEqual(node.engine.extent(LOG), { first: 0, end: 0 })
  await node.group(LOG).commit(1)
  assert.deepEqual(first.outcome, { kind: 'appended', basePosition: 0 })
  assert.equal(second.outcome, undefined)
  await node.group(LOG).commit()
  assert.deepEqual(second.outcome, { kind: 'appended', basePosition: 2 })
  assert.deepEqual(node.engine.extent(LOG), { first: 0, end: 3 })
})

test('Q2: a refused proposal is rejected, and leaves no hole in the positions', async () => {
  const node = await EngineNode.start()
  const before = node.append(LOG, batchOf([{ topic: 'a' }]))
  node.group(LOG).refusal = new PlatformError(ERROR_CODES.proposalDropped, 'too much uncommitted')
  const refused = node.append(LOG, batchOf([{ topic: 'a', sequence: 5, qos: 2 }, { topic: 'a' }]))
  node.group(LOG).refusal = undefined
  const after = node.append(LOG, batchOf([{ topic: 'a' }, { topic: 'a', sequence: 5, qos: 2 }]))
  await node.group(LOG).commit()
  assert.deepEqual(refused.outcome, { kind: 'rejected', reason: 'busy' })
  assert.deepEqual(before.outcome, { kind: 'appended', basePosition: 0 })
  assert.deepEqual(after.outcome, { kind: 'appended', basePosition: 1 })
  assert.deepEqual(positions(await node.readAll(LOG, ['a'])), [0, 1, 2])
})

test('L11: proposals lost with the leadership are unknown, and positions go on from what was applied', async () => {
  const node = await EngineNode.start()
  await node.write(LOG, [{ topic: 'a' }])
  const lost = [node.append(LOG, batchOf([{ topic: 'a', sequence: 1, qos: 2 }])), node.append(LOG, batchOf([{ topic: 'a' }]))]
  await node.group(LOG).lose()
  for (const { outcome } of lost) assert.deepEqual(outcome, { kind: 'unknown' })
  const again = node.append(LOG, batchOf([{ topic: 'a', sequence: 1, qos: 2 }]))
  await node.group(LOG).commit()
  assert.deepEqual(again.outcome, { kind: 'appended', basePosition: 1 })
})

test('Q4: a sequence that is known is not appended again, in flight or committed, and its answer waits for the first one', async () => {
  const node = await EngineNode.start()
  const first = node.append(LOG, batchOf([{ topic: 'a', publisher: 7, sequence: 1, qos: 2 }, { topic: 'a' }]))
  const inFlight = node.append(LOG, batchOf([{ topic: 'a', publisher: 7, sequence: 1, qos: 2 }]))
  const mixed = node.append(
    LOG,
    batchOf([
      { topic: 'b', payload: 'new', publisher: 7, sequence: 2, qos: 2 },
      { topic: 'a', payload: 'old', publisher: 7, sequence: 1, qos: 2 },
      { topic: 'c', payload: 'plain' },
      { topic: 'b', payload: 'twice', publisher: 7, sequence: 2, qos: 2 },
    ]),
  )
  await settled()
  assert.equal(inFlight.outcome, undefined)
  await node.group(LOG).commit(1)
  assert.equal(first.outcome?.kind, 'appended')
  assert.deepEqual(inFlight.outcome, { kind: 'appended', basePosition: 0 })
  assert.equal(mixed.outcome, undefined)
  await node.group(LOG).commit()
  assert.deepEqual(mixed.outcome, { kind: 'appended', basePosition: 2 })
  const committed = node.append(LOG, batchOf([{ topic: 'a', publisher: 7, sequence: 1, qos: 2 }]))
  const another = node.append(LOG, batchOf([{ topic: 'a', publisher: 8, sequence: 1, qos: 2 }]))
  await settled()
  assert.deepEqual(committed.outcome, { kind: 'appended', basePosition: 0 })
  await node.group(LOG).commit()
  assert.equal(another.outcome?.kind, 'appended')
  const seen = await node.readAll(LOG, ['#'])
  assert.deepEqual(
    seen.map(({ position, topic, payload }) => `${position} ${topic} ${payload}`),
    ['0 a x', '1 a x', '2 b new', '3 c plain', '4 a x'],
  )
  assert.equal(node.counters.get('robustmq_engine_duplicates_total rocksdb'), 4)
  assert.ok(node.reached.includes('engine.append.duplicate'))
})

test('Q4: after a crash the remembered sequences are those of the log, whether they had reached the store or not', async () => {
  const node = await EngineNode.start()
  await node.write(LOG, [{ topic: 'a', publisher: 7, sequence: 1, qos: 2 }])
  await node.flush()
  await node.write(LOG, [{ topic: 'a', publisher: 7, sequence: 2, qos: 2 }])
  const next = await node.restart()
  assert.deepEqual(await next.engine.unreleased(7), [
    { sequence: 1, log: LOG },
    { sequence: 2, log: LOG },
  ])
  const repeated = next.append(LOG, batchOf([1, 2].map((sequence) => ({ topic: 'a', publisher: 7, sequence, qos: 2 }))))
  await settled()
  assert.deepEqual(repeated.outcome, { kind: 'appended', basePosition: 0 })
  assert.equal(next.group(LOG).waitingCount, 0)
})

test('Q5: a release is done when it is committed; then the sequence can be used again, and a crash does not bring it back', async () => {
  const node = await EngineNode.start()
  await node.write(LOG, [{ topic: 'a', publisher: 7, sequence: 1, qos: 2 }])
  await node.write(MEMORY_LOG, [{ topic: 'm', publisher: 7, sequence: 2, qos: 2 }])
  await node.flush()
  const released: boolean[] = []
  const releases = [node.engine.release(7, 1, LOG), node.engine.release(7, 2, undefined)].map((one) =>
    one.then((known) => released.push(known)),
  )
  await settled()
  assert.deepEqual(released, [])
  assert.equal(node.group(LOG).waitingCount, 1)
  await node.group(LOG).commit()
  await node.group(MEMORY_LOG).commit()
  await Promise.all(releases)
  assert.deepEqual(released, [true, true])
  assert.equal(await node.engine.release(7, 1, undefined), false)
  await node.flush()
  assert.equal(node.kv.count(LOG, 's'), 0)
  await node.write(LOG, [{ topic: 'a', publisher: 7, sequence: 1, qos: 2 }])
  const next = await node.restart()
  assert.deepEqual(await next.engine.unreleased(7), [{ sequence: 1, log: LOG }])
  assert.equal((await next.readAll(LOG, ['a'])).length, 2)
})

test('Q5: releases of one turn are one entry of the log', async () => {
  const node = await EngineNode.start()
  await node.write(
    LOG,
    [1, 2, 3].map((sequence) => ({ topic: 'a', publisher: 7, sequence, qos: 2 })),
  )
  const releases = Promise.all([1, 2, 3].map((sequence) => node.engine.release(7, sequence, LOG)))
  await settled()
  assert.equal(node.group(LOG).waitingCount, 1)
  await node.group(LOG).commit()
  assert.deepEqual(await releases, [true, true, true])
})

test('Q5: a release that was proposed before a new use of the sequence does not forget that use', async () => {
  const node = await EngineNode.start()
  await node.write(LOG, [{ topic: 'a', publisher: 7, sequence: 1, qos: 2 }])
  const first = node.engine.release(7, 1, LOG)
  await settled()
  const second = node.engine.release(7, 1, LOG)
  await settled()
  await node.group(LOG).commit(1)
  assert.equal(await first, true)
  node.append(LOG, batchOf([{ topic: 'a', publisher: 7, sequence: 1, qos: 2 }]))
  await node.group(LOG).commit(1)
  assert.equal(await second, true)
  node.append(LOG, batchOf([{ topic: 'a', publisher: 7, sequence: 1, qos: 2 }]))
  await node.group(LOG).commit()
  assert.equal((await node.engine.unreleased(7)).length, 1)
  assert.equal((await node.readAll(LOG, ['a'])).length, 2)
})

test('sequences of publishers that have ended are forgotten in every log that knows them', async () => {
  const node = await EngineNode.start({ stripes: 2 })
  await node.write(0, [{ topic: 'a', publisher: 7, sequence: 1, qos: 2 }])
  await node.write(1, [{ topic: 'b', publisher: 7, sequence: 2, qos: 2 }])
  await node.write(3, [{ topic: 'c', publisher: 8, sequence: 3, qos: 2 }])
  const forgotten = node.engine.forget([7, 9])
  await settled()
  assert.equal(node.group(3).waitingCount, 0)
  for (const log of [0, 1]) await node.group(log).commit()
  await forgotten
  assert.deepEqual(await node.engine.unreleased(7), [])
  assert.equal((await node.engine.unreleased(8)).length, 1)
})

test('Q1: a release or append is refused while nobody leads, never answered from an incomplete table', async () => {
  const node = new EngineNode()
  const refused = node.append(LOG, batchOf([{ topic: 'a' }]))
  await assert.rejects(node.engine.release(7, 1, LOG), { code: ERROR_CODES.notLeader })
  await assert.rejects(node.engine.release(7, 1, undefined), { code: ERROR_CODES.notReady })
  await assert.rejects(node.engine.forget([7]), { code: ERROR_CODES.notReady })
  await assert.rejects(node.engine.register('a/#'), { code: ERROR_CODES.notReady })
  await assert.rejects(node.engine.unreleased(7), { code: ERROR_CODES.notReady })
  assert.deepEqual(refused.outcome, { kind: 'rejected', reason: 'busy' })
  assert.match(node.engine.unready() ?? '', /logs 0, 1/)
})

test('a store that falls behind holds back applying, and nothing it lacks leaves the tail', async () => {
  const node = await EngineNode.start({ tailBytes: 1000 })
  node.kv.hold()
  const payload = 'p'.repeat(1 << 20)
  for (let count = 0; count < 63; count++) await node.write(LOG, [{ topic: `t${count % 3}`, payload }])
  const answer = node.append(LOG, batchOf([{ topic: 't', payload }]))
  let committed = false
  const commit = node
    .group(LOG)
    .commit()
    .then(() => {
      committed = true
    })
  await settled()
  assert.equal(committed, false)
  assert.equal(answer.outcome, undefined)
  assert.equal(recordsOf((await node.engine.read({ log: LOG, from: 0, filters: ['#'], bytesMax: 1 << 30 })).batches).length, 64)
  node.kv.letGo()
  await commit
  assert.deepEqual(answer.outcome, { kind: 'appended', basePosition: 63 })
  await node.flush()
  assert.deepEqual(positions(await node.readAll(LOG, ['#'], 0, 1 << 22)), [...Array(64).keys()])
})

test('the tail is handed over before the appender is answered, whole batches, and only those that somebody wants', async () => {
  const node = await EngineNode.start()
  const sink = new NotingSink()
  node.engine.attach(sink)
  await node.write(LOG, [{ topic: 'a/b' }])
  assert.deepEqual(await node.engine.register('a/+'), [
    { log: 0, position: 1 },
    { log: 1, position: 0 },
    { log: 2, position: 0 },
  ])
  assert.deepEqual(await node.engine.register('c'), [
    { log: 0, position: 1 },
    { log: 1, position: 0 },
    { log: 2, position: 0 },
  ])
  let seenAtAnswer = -1
  node.engine.append(LOG, batchOf([{ topic: 'a/b' }, { topic: 'z' }]), () => {
    seenAtAnswer = sink.seen.length
  })
  await node.group(LOG).commit()
  assert.equal(seenAtAnswer, 2)
  await node.write(LOG, [{ topic: 'z' }])
  await node.write(MEMORY_LOG, [{ topic: 'c', qos: 0 }])
  node.engine.deregister('a/+')
  await node.write(LOG, [{ topic: 'a/b' }])
  assert.deepEqual(
    sink.seen.map(({ log, position, topic }) => `${log} ${position} ${topic}`),
    ['0 1 a/b', '0 2 z', '1 0 c'],
  )
})

test('an exact filter concerns the logs that own the topic, one of each storage type', async () => {
  const node = await EngineNode.start({ stripes: 4 })
  assert.deepEqual(
    node.engine.logs().map(({ id, storage }) => `${id} ${storage}`),
    [
      '0 rocksdb',
      '1 rocksdb',
      '2 rocksdb',
      '3 rocksdb',
      '4 memory',
      '5 memory',
      '6 memory',
      '7 memory',
      '8 segment',
      '9 segment',
      '10 segment',
      '11 segment',
    ],
  )
  const logs = (await node.engine.register('some/topic')).map(({ log }) => log)
  assert.deepEqual(logs, [
    node.engine.logOf('rocksdb', 'some/topic'),
    node.engine.logOf('memory', 'some/topic'),
    node.engine.logOf('segment', 'some/topic'),
  ])
  assert.equal((logs[1] as number) - (logs[0] as number), 4)
  assert.equal((await node.engine.register('some/#')).length, 12)
  const used = new Set(Array.from({ length: 200 }, (_, at) => node.engine.logOf('rocksdb', `topic/${at}`)))
  assert.equal(used.size, 4)
})
