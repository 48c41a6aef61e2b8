// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { loadConfig } from '#base/config/load'
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { LogId, StorageType } from '#contract/client/engine-client'
import type { ShareProgress } from '#contract/client/share-client'
import { batchOf, EngineNode, NotingSink, type SampleRecord, settled } from '../engine-node.ts'

const TYPES = ['rocksdb', 'memory', 'segment'] as const satisfies readonly StorageType[]
const STORED = ['rocksdb', 'segment'] as const satisfies readonly StorageType[]
/** Of a node with one stripe of each type. */
const FIRST = 3

const busy = new PlatformError(ERROR_CODES.notLeader, 'meta has no leader')
const unknown = new PlatformError(ERROR_CODES.outcomeUnknown, 'nobody knows')

/** A node with a log for topic `a`, which serves. */
async function withLog(storage: StorageType): Promise<{ node: EngineNode; log: LogId }> {
  const node = await EngineNode.start()
  const log = node.engine.logOf(storage, 'a', 'independent')
  await settled()
  return { node, log }
}

const sample = (topic: string, payload: string): SampleRecord => ({ topic, payload })

const payloads = async (node: EngineNode, log: LogId): Promise<readonly string[]> =>
  (await node.readAll(log, ['#'])).map(({ payload }) => payload)

describe('creation', () => {
  test('D2: a topic gets a log of its own, known at once and the same ever after; the stripe of the topic stays what it was', async () => {
    const node = await EngineNode.start()
    const shared = node.engine.logOf('rocksdb', 'a')
    const own = node.engine.logOf('rocksdb', 'a', 'independent')
    assert.deepEqual([own, node.engine.logOf('rocksdb', 'a', 'independent'), node.engine.logOf('rocksdb', 'a')], [FIRST, FIRST, shared])
    assert.deepEqual(node.engine.describe(own), { id: FIRST, storage: 'rocksdb', model: 'independent', topic: 'a' })
    assert.deepEqual(
      TYPES.map((storage) => node.engine.logOf(storage, 'b', 'independent')),
      [FIRST + 1, FIRST + 2, FIRST + 3],
    )
    assert.deepEqual(
      node.engine.logs().map(({ id }) => id),
      [0, 1, 2, 3, 4, 5, 6],
    )
  })

  for (const storage of TYPES)
    test(`what is appended to a new log waits until it is in the catalogue and led, and keeps its order (${storage})`, async () => {
      const node = await EngineNode.start()
      const commit = node.meta.catalogue.hold()
      const log = node.engine.logOf(storage, 'a', 'independent')
      const first = node.append(log, batchOf([sample('a', '1')]))
      const second = node.append(log, batchOf([sample('a', '2')]))
      await settled()
      assert.deepEqual([node.logGroups.events, first.outcome], [[], undefined])
      commit()
      await settled()
      const third = node.append(log, batchOf([sample('a', '3')]))
      await node.group(log).commit()
      assert.deepEqual(
        [first, second, third].map(({ outcome }) => outcome),
        [0, 1, 2].map((basePosition) => ({ kind: 'appended', basePosition })),
      )
      assert.deepEqual(await payloads(node, log), ['1', '2', '3'])
    })

  test('a log that can not be created rejects what waits as busy, and the next append tries again, under the same id', async () => {
    const node = await EngineNode.start()
    for (const isDone of [false, true]) {
      node.meta.catalogue.failure = { error: isDone ? unknown : busy, isDone }
      const log = node.engine.logOf('segment', 'a', 'independent')
      const refused = node.append(log, batchOf([sample('a', '1')]))
      await settled()
      assert.deepEqual(refused.outcome, { kind: 'rejected', reason: 'busy' })
      assert.deepEqual(node.engine.warnings(), [`log ${log} could not be created yet`])
    }
    node.meta.catalogue.failure = undefined
    node.logGroups.failure = new PlatformError(ERROR_CODES.diskFull, 'no room for a directory')
    const alsoRefused = node.append(FIRST, batchOf([sample('a', '2')]))
    await settled()
    assert.deepEqual(alsoRefused.outcome, { kind: 'rejected', reason: 'busy' })
    node.logGroups.failure = undefined
    const answer = node.append(FIRST, batchOf([sample('a', '3')]))
    await settled()
    await node.group(FIRST).commit()
    assert.deepEqual(answer.outcome, { kind: 'appended', basePosition: 0 })
    assert.deepEqual(node.engine.warnings(), [])
    assert.deepEqual(new Set(node.meta.catalogue.calls), new Set([`create ${FIRST} segment a`]))
  })

  test('R50: a log whose id was passed over while it could not be created is given up, and its topic gets another', async () => {
    const node = await EngineNode.start()
    node.meta.catalogue.failure = { error: busy, isDone: false }
    const passed = node.engine.logOf('memory', 'a', 'independent')
    await settled()
    node.meta.catalogue.failure = undefined
    const other = node.engine.logOf('memory', 'b', 'independent')
    await settled()
    const refused = node.append(passed, batchOf([sample('a', '1')]))
    await settled()
    assert.deepEqual(refused.outcome, { kind: 'rejected', reason: 'removed' })
    assert.equal(node.engine.describe(passed), undefined)
    const log = node.engine.logOf('memory', 'a', 'independent')
    assert.equal(log, other + 1)
    await settled()
    await node.write(log, [sample('a', '1')])
    await node.write(other, [sample('b', '1')])
  })

  test('M8: what waits for a log is bounded', async () => {
    const node = await EngineNode.start()
    node.meta.catalogue.hold()
    const log = node.engine.logOf('memory', 'a', 'independent')
    const answers = Array.from({ length: 5 }, () => node.append(log, batchOf([sample('a', 'x'.repeat(300_000))])))
    await settled()
    assert.deepEqual(
      answers.map(({ outcome }) => outcome),
      [undefined, undefined, undefined, { kind: 'rejected', reason: 'busy' }, { kind: 'rejected', reason: 'busy' }],
    )
  })

  test('beyond the most logs there may be a topic shares a log, which is counted, and told once', async () => {
    const node = await EngineNode.start({ independentLogsMax: 1 })
    const own = node.engine.logOf('rocksdb', 'a', 'independent')
    assert.equal(node.engine.logOf('rocksdb', 'b', 'independent'), node.engine.logOf('rocksdb', 'b'))
    assert.equal(node.engine.logOf('segment', 'a', 'independent'), node.engine.logOf('segment', 'a'))
    assert.equal(node.engine.logOf('rocksdb', 'a', 'independent'), own)
    assert.equal(node.counters.get('robustmq_engine_independent_logs_refused_total'), 2)
  })

  test('the most logs there may be change with the configuration; those there are stay', async () => {
    const node = await EngineNode.start({ independentLogsMax: 2 })
    const reload = (max: number): void => {
      const loaded = loadConfig({ settings: [`engine.independent_logs_max=${max}`] })
      assert.ok(loaded.kind === 'loaded')
      node.engine.reload(loaded.config)
    }
    const own = ['a', 'b'].map((topic) => node.engine.logOf('memory', topic, 'independent'))
    reload(0)
    assert.equal(node.engine.logOf('memory', 'c', 'independent'), node.engine.logOf('memory', 'c'))
    reload(3)
    assert.equal(node.engine.logOf('memory', 'c', 'independent'), FIRST + 2)
    assert.deepEqual(
      ['a', 'b'].map((topic) => node.engine.logOf('memory', topic, 'independent')),
      own,
    )
  })

  test('a stop answers what waits for a log', async () => {
    const node = await EngineNode.start()
    const commit = node.meta.catalogue.hold()
    const log = node.engine.logOf('rocksdb', 'a', 'independent')
    const waiting = node.append(log, batchOf([sample('a', '1')]))
    const stopped = node.engine.stop()
    await settled()
    assert.deepEqual(waiting.outcome, { kind: 'rejected', reason: 'stopping' })
    commit()
    await stopped
    assert.deepEqual(node.logGroups.events, [])
  })
})

describe('readers and subscribers', () => {
  test('T11: who has registered before a log was created gets all of it, from position 0', async () => {
    const node = await EngineNode.start()
    const sink = new NotingSink()
    node.engine.attach(sink)
    await node.engine.register('a/#')
    const log = node.engine.logOf('rocksdb', 'a/b', 'independent')
    assert.deepEqual(
      (await node.engine.register('a/+')).filter(({ log: id }) => id === log),
      [{ log, position: 0 }],
    )
    await settled()
    await node.write(log, [sample('a/b', '1')])
    assert.deepEqual(sink.seen, [{ log, position: 0, topic: 'a/b' }])
  })

  test('a registration concerns the stripes of a filter and the logs whose topic matches', async () => {
    const { node, log } = await withLog('segment')
    const other = node.engine.logOf('rocksdb', 'b', 'independent')
    await settled()
    const concerned = async (filter: string): Promise<readonly LogId[]> =>
      (await node.engine.register(filter)).map(({ log: id }) => id).sort()
    assert.deepEqual(await concerned('a'), [0, 1, 2, log])
    assert.deepEqual(await concerned('b'), [0, 1, 2, other])
    assert.deepEqual(await concerned('+'), [0, 1, 2, log, other])
    assert.deepEqual(await concerned('c/#'), [0, 1, 2])
  })

  test('D11: the consumer of a shared group follows new logs from their beginning, and forgets those that are removed', async () => {
    const node = await EngineNode.start()
    const offered: string[] = []
    const sink = {
      offer: (log: LogId, _batch: unknown, cursor: { readonly position: number }) => offered.push(`${log} ${cursor.position}`) > 0,
      appetiteBytes: () => 1000,
      missed: () => assert.fail('nothing is missed'),
      failed: (error: unknown) => assert.fail(String(error)),
    }
    const consumer = await node.engine.openShare('a/+', sink, [])
    const log = node.engine.logOf('rocksdb', 'a/b', 'independent')
    node.engine.logOf('rocksdb', 'c', 'independent')
    await settled()
    await node.write(log, [sample('a/b', '1'), sample('a/b', '2')])
    assert.deepEqual(offered, [`${log} 0`, `${log} 1`])
    const own = (): readonly ShareProgress[] => consumer.progress().filter(({ log: id }) => id >= FIRST)
    assert.deepEqual(own(), [{ log, next: 2, open: [0, 1] }])
    assert.equal(await node.engine.removeTopic('rocksdb', 'a/b'), true)
    assert.deepEqual(own(), [])
    consumer.finish(log, 0)
    consumer.handBack(log, [1])
  })

  test('Q20: a shared group is told of what it has not had of a log that is removed, and of what has come back to it', async () => {
    const node = await EngineNode.start()
    const missed: string[] = []
    let room = 2
    const sink = {
      offer: () => room-- > 0,
      appetiteBytes: () => 1000,
      missed: (log: LogId, from: number, to: number) => void missed.push(`${log}: ${from} to ${to}`),
      failed: (error: unknown) => assert.fail(String(error)),
    }
    const consumer = await node.engine.openShare('a', sink, [])
    const log = node.engine.logOf('rocksdb', 'a', 'independent')
    await settled()
    await node.write(log, [sample('a', '1'), sample('a', '2'), sample('a', '3'), sample('a', '4')])
    consumer.handBack(log, [1])
    await settled()
    assert.equal(await node.engine.removeTopic('rocksdb', 'a'), true)
    assert.deepEqual(missed, [`${log}: 1 to 2`, `${log}: 2 to 4`])
  })

  test('a log that is being created, or is gone, is read as an empty one; of one that is gone its readers are told where it ended', async () => {
    const { node, log } = await withLog('rocksdb')
    await node.write(log, [sample('a', '1'), sample('a', '2')])
    assert.equal(await node.engine.removeTopic('rocksdb', 'a'), true)
    node.meta.catalogue.hold()
    const creating = node.engine.logOf('rocksdb', 'b', 'independent')
    for (const [id, end] of [
      [log, 2],
      [creating, 0],
    ] as const) {
      const request = { log: id, from: 0, filters: ['#'], bytesMax: 10 }
      const nothing = { batches: [], next: end, atEnd: true, from: end }
      assert.deepEqual(await node.engine.read(request), nothing)
      assert.deepEqual(await node.engine.readKey({ log: id, from: 0, topic: 'a', key: Buffer.from('k'), bytesMax: 10 }), nothing)
      assert.deepEqual(await node.engine.fetch(id, [0]), [])
      assert.deepEqual(node.engine.extent(id), { first: end, end })
      assert.equal(await node.engine.positionAt(id, 0), 0)
      await node.engine.retainedUpTo(id, 1)
      assert.equal(await node.engine.release(1, 1, id), false)
    }
  })

  test('D14: sequences are remembered, told and released in logs of one topic too', async () => {
    const { node, log } = await withLog('rocksdb')
    await node.write(log, [{ topic: 'a', publisher: 7, sequence: 11, qos: 2 }])
    await node.write(0, [{ topic: 'b', publisher: 7, sequence: 12, qos: 2 }])
    assert.deepEqual(await node.engine.unreleased(7), [
      { sequence: 12, log: 0 },
      { sequence: 11, log },
    ])
    const released = node.engine.release(7, 11, undefined)
    await settled()
    await node.group(log).commit()
    assert.equal(await released, true)
    const forgotten = node.engine.forget([7])
    await settled()
    await node.group(0).commit()
    await forgotten
    assert.deepEqual(await node.engine.unreleased(7), [])
  })
})

describe('start', () => {
  for (const storage of STORED)
    test(`logs of the catalogue are taken up again, with what they had (${storage})`, async () => {
      const { node, log } = await withLog(storage)
      await node.write(log, [sample('a', '1'), sample('a', '2')])
      await node.flush()
      await node.write(log, [sample('a', '3')])
      const next = await node.restart()
      assert.equal(next.engine.logOf(storage, 'a', 'independent'), log)
      assert.deepEqual(await payloads(next, log), ['1', '2', '3'])
      assert.equal(next.engine.logOf(storage, 'b', 'independent'), log + 1)
    })

  test('R50: a creation that was cut off before it was in the catalogue leaves nothing, and its id goes to the next', async () => {
    const node = await EngineNode.start()
    node.meta.catalogue.failure = { error: busy, isDone: false }
    const log = node.engine.logOf('segment', 'a', 'independent')
    await settled()
    node.meta.catalogue.failure = undefined
    const next = await node.restart()
    assert.equal(next.engine.describe(log), undefined)
    assert.equal(next.engine.logOf('segment', 'b', 'independent'), log)
  })

  test('a creation that was cut off after it was in the catalogue is finished by the next start', async () => {
    const node = await EngineNode.start()
    node.logGroups.gate = new Promise(() => {})
    const log = node.engine.logOf('segment', 'a', 'independent')
    await settled()
    assert.deepEqual(node.logGroups.events, [])
    const next = await node.restart()
    assert.deepEqual(next.logGroups.events, [`opened ${log}`])
    await next.write(log, [sample('a', '1')])
    assert.deepEqual(await payloads(next, log), ['1'])
  })

  test('R50: data of a log that the catalogue does not know is kept, is not served, and its id is not given', async () => {
    const { node, log } = await withLog('rocksdb')
    await node.write(log, [sample('a', '1')])
    await node.flush()
    node.meta.catalogue.logs = []
    node.meta.catalogue.nextId = 0
    const next = await node.restart()
    assert.equal(next.engine.describe(log), undefined)
    assert.deepEqual(next.logGroups.events, [])
    assert.equal(next.engine.logOf('rocksdb', 'b', 'independent'), log + 1)
    assert.ok(storedKeys(next, log) > 0)
  })
})

describe('removal', () => {
  for (const storage of TYPES)
    test(`a topic that is removed loses its log: nothing of it is left, and the topic begins anew under another id (${storage})`, async () => {
      const { node, log } = await withLog(storage)
      await node.write(log, [sample('a', '1')])
      await node.flush()
      assert.equal(await node.engine.removeTopic(storage, 'a'), true)
      const late = node.append(log, batchOf([sample('a', '2')]))
      await settled()
      assert.deepEqual(late.outcome, { kind: 'rejected', reason: 'removed' })
      assert.deepEqual([node.engine.describe(log), storedKeys(node, log), node.logGroups.disk.has(log)], [undefined, 0, false])
      const again = node.engine.logOf(storage, 'a', 'independent')
      assert.equal(again, log + 1)
      await settled()
      await node.write(again, [sample('a', '3')])
      assert.deepEqual(await payloads(node, again), ['3'])
    })

  test('R50: nothing is removed before it is struck out of the catalogue; a removal that fails leaves the log as it was', async () => {
    const { node, log } = await withLog('rocksdb')
    await node.write(log, [sample('a', '1')])
    node.meta.catalogue.failure = { error: busy, isDone: false }
    await assert.rejects(node.engine.removeTopic('rocksdb', 'a'), (error) => isPlatformError(error, ERROR_CODES.notReady))
    node.meta.catalogue.failure = undefined
    await node.write(log, [sample('a', '2')])
    assert.deepEqual(await payloads(node, log), ['1', '2'])
  })

  test('what was accepted before a removal has its outcome, and its readers get it, before the log is struck out', async () => {
    const { node, log } = await withLog('rocksdb')
    const sink = new NotingSink()
    node.engine.attach(sink)
    await node.engine.register('a')
    const retain = node.meta.hold()
    const first = node.append(log, batchOf([{ topic: 'a', retain: true }]))
    const second = node.append(log, batchOf([sample('a', '2')]))
    const removed = node.engine.removeTopic('rocksdb', 'a')
    await settled()
    await node.group(log).commit()
    assert.deepEqual([sink.seen.length, second.outcome?.kind, node.meta.catalogue.logs.length], [2, 'appended', 1])
    retain()
    assert.equal(await removed, true)
    assert.deepEqual([first.outcome?.kind, node.meta.catalogue.logs], ['appended', []])
  })

  test('L11: a removal of which nobody knows whether it was done is looked up', async () => {
    const { node, log } = await withLog('rocksdb')
    node.meta.catalogue.failure = { error: unknown, isDone: true }
    assert.equal(await node.engine.removeTopic('rocksdb', 'a'), true)
    assert.equal(node.engine.describe(log), undefined)
  })

  test('R50: a log takes nothing while it is being struck out', async () => {
    const { node, log } = await withLog('rocksdb')
    const commit = node.meta.catalogue.hold()
    const removed = node.engine.removeTopic('rocksdb', 'a')
    const meanwhile = node.append(log, batchOf([sample('a', '1')]))
    await settled()
    assert.deepEqual(meanwhile.outcome, { kind: 'rejected', reason: 'busy' })
    commit()
    assert.equal(await removed, true)
  })

  for (const storage of STORED)
    test(`a removal that was cut off at any step is finished by the next start (${storage})`, async () => {
      const { node, log } = await withLog(storage)
      await node.write(log, [sample('a', '1')])
      await node.flush()
      const other = node.engine.logOf(storage, 'b', 'independent')
      await settled()
      await node.write(other, [sample('b', '1')])
      node.logGroups.gate = new Promise(() => {})
      void node.engine.removeTopic(storage, 'a')
      await settled()
      // The process ends with the log struck out, and all its data there; then with the group gone and the rest there; then with all of it gone.
      const entries = node.groups.get(log)?.entries ?? []
      node.logGroups.disk.set(log, entries)
      for (const left of [{ log: true }, { log: false }]) {
        if (!left.log) node.logGroups.disk.delete(log)
        const next = await node.restart()
        assert.deepEqual(next.logGroups.events, [`opened ${other}`, `removed ${log}`])
        assert.deepEqual([next.engine.describe(log), storedKeys(next, log), next.logGroups.disk.has(log)], [undefined, 0, false])
        assert.deepEqual(await payloads(next, other), ['1'])
        const after = await next.restart()
        assert.deepEqual(after.logGroups.events, [`opened ${other}`])
      }
    })

  test('a topic without a log of its own is not known to be removed', async () => {
    const node = await EngineNode.start()
    assert.equal(await node.engine.removeTopic('memory', 'a'), false)
  })
})

describe('retention', () => {
  const HOUR_MS = 3_600_000
  const limits = (topics: readonly { filter: string; maxAgeMs: number; maxBytes: number }[]) => ({
    retention: { maxAgeMs: 10 * HOUR_MS, maxBytes: 0, intervalMs: 60_000, topics },
  })

  for (const storage of STORED)
    test(`L28: a log has the limits of its topic, and those of the cluster for what they leave out (${storage})`, async () => {
      const node = await EngineNode.start(limits([{ filter: 'a', maxAgeMs: HOUR_MS, maxBytes: 0 }]))
      const short = node.engine.logOf(storage, 'a', 'independent')
      const long = node.engine.logOf(storage, 'b', 'independent')
      await settled()
      for (const [log, topic] of [
        [short, 'a'],
        [long, 'b'],
      ] as const) {
        await node.write(log, [sample(topic, 'old')])
        await node.flush()
      }
      await node.clock.pass(2 * HOUR_MS)
      await settled()
      assert.deepEqual([node.engine.extent(short).first, node.engine.extent(long).first], [1, 0])
      node.engine.setTopicLimits([{ filter: 'b', maxAgeMs: HOUR_MS, maxBytes: 0 }])
      await node.clock.pass(60_000)
      await settled()
      assert.equal(node.engine.extent(long).first, 1)
    })

  test('max_bytes of a topic bounds the files of its log', async () => {
    const node = await EngineNode.start(limits([{ filter: 'a', maxAgeMs: 0, maxBytes: 3000 }]))
    const log = node.engine.logOf('segment', 'a', 'independent')
    await settled()
    for (let at = 0; at < 10; at++) {
      await node.write(log, [sample('a', 'x'.repeat(1000))])
      await node.flush()
      await node.clock.pass(200)
    }
    await node.clock.pass(60_000)
    await settled()
    const { first, end } = node.engine.extent(log)
    assert.equal(end, 10)
    assert.ok(first >= 6, `first kept is ${first}`)
    const [report] = node.engine.storage().filter((one) => one.log === log)
    assert.deepEqual([report?.retention.maxBytes, report?.model, report?.topic], [3000, 'independent', 'a'])
  })
})

/** How many keys the store has of a log. */
const storedKeys = (node: EngineNode, log: LogId): number =>
  ['m', 'p', 'r', 's', 't'].reduce((sum, kind) => sum + node.kv.count(log, kind), 0)
