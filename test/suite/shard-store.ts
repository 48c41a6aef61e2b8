// SPDX-License-Identifier: Apache-2.0
// What every backend of the ShardStore port must do. Run on each storage type and model of the engine, and on a model that has nothing to do with the engine.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { AppendOutcome, LogId, ReadResult, StorageModel, StorageType, TailSink } from '#contract/client/engine-client'
import { ATTRIBUTE, RecordBatch, RecordBatchBuilder, RecordCursor } from '#contract/record/record-batch'
import type { ShardStore } from '#storage'

export interface ShardStoreFixture {
  /** The store that lives now. */
  readonly store: ShardStore
  /** Lets everything that was appended, or asked for, come to its end. */
  settle(): Promise<void>
  /** Lets time pass, by the clock that append times are taken from. */
  pass(ms: number): Promise<void>
  /** Ends the store as a crash would, and opens what it has left; resolves when it serves. */
  restart(): Promise<void>
}

export interface ShardStoreTraits {
  readonly storage: StorageType
  /** Of the log that the stories write to. */
  readonly model: StorageModel
  /** What was acknowledged is there after a restart. */
  readonly survives: boolean
}

interface Seen {
  readonly position: number
  readonly topic: string
  readonly payload: string
}

interface Sample {
  readonly topic: string
  readonly payload?: string
  readonly publisher?: number
  /** Of QoS 2; none by default. */
  readonly sequence?: number
  /** None by default. */
  readonly key?: string
}

const NO_HEADERS = Buffer.alloc(0)
/** One shard; wildcard readers see it beside others of its log. */
const SHARD = 'shard/one'

export function shardStoreSuite(name: string, traits: ShardStoreTraits, create: () => Promise<ShardStoreFixture>): void {
  const story = (title: string, run: (bench: Bench) => Promise<void>): void => {
    it(title, async () => run(new Bench(await create(), traits)))
  }
  describe(`ShardStore: ${name}`, () => {
    appending(story)
    reading(story)
    readingByKey(story)
    following(story)
    remembering(story)
    if (traits.survives) surviving(story)
  })
}

type Story = (title: string, run: (bench: Bench) => Promise<void>) => void

/** A store with a shard to write to. */
class Bench {
  readonly log: LogId
  readonly traits: ShardStoreTraits
  readonly #fixture: ShardStoreFixture

  constructor(fixture: ShardStoreFixture, traits: ShardStoreTraits) {
    this.#fixture = fixture
    this.traits = traits
    this.log = fixture.store.logOf(traits.storage, SHARD, traits.model)
  }

  get store(): ShardStore {
    return this.#fixture.store
  }

  settle = (): Promise<void> => this.#fixture.settle()
  pass = (ms: number): Promise<void> => this.#fixture.pass(ms)
  restart = (): Promise<void> => this.#fixture.restart()

  /** Appends one batch and waits for its outcome, which comes once, and not before the call has returned. */
  async append(...samples: readonly Sample[]): Promise<AppendOutcome> {
    const outcomes: AppendOutcome[] = []
    this.store.append(this.log, batchOf(samples), (outcome) => outcomes.push(outcome))
    assert.equal(outcomes.length, 0, 'nothing is answered before append has returned')
    await this.settle()
    assert.equal(outcomes.length, 1, 'an append is answered once')
    return outcomes[0] as AppendOutcome
  }

  async write(...topics: readonly string[]): Promise<void> {
    assert.equal((await this.append(...topics.map((topic) => ({ topic, payload: topic })))).kind, 'appended')
  }

  read(filters: readonly string[], from = 0, bytesMax = 1 << 20): Promise<readonly Seen[]> {
    return this.#pages(from, (next) => this.store.read({ log: this.log, from: next, filters, bytesMax }))
  }

  /** Of SHARD. */
  readKey(key: string, from = 0, bytesMax = 1 << 20): Promise<readonly Seen[]> {
    return this.#pages(from, (next) => this.store.readKey({ log: this.log, topic: SHARD, key: Buffer.from(key), from: next, bytesMax }))
  }

  /** Reads page by page, to the end. */
  async #pages(from: number, page: (next: number) => Promise<ReadResult>): Promise<readonly Seen[]> {
    const seen: Seen[] = []
    for (let next = from; ; ) {
      const result = await page(next)
      seen.push(...recordsOf(result.batches))
      assert.ok(result.next > next || result.atEnd, 'every read gets on')
      next = result.next
      if (result.atEnd) return seen
    }
  }
}

const positions = (seen: readonly Seen[]): readonly number[] => seen.map(({ position }) => position)

function appending(story: Story): void {
  story('a shard is in one log, always the same, of the storage type and model that were asked for', async ({ store, log, traits }) => {
    const { storage, model } = traits
    assert.equal(store.logOf(storage, SHARD, model), log)
    assert.deepEqual(store.describe(log), { id: log, storage, model, ...(model === 'independent' && { topic: SHARD }) })
    assert.ok(store.logs().every((description, index) => description.id === index && store.describe(index) === description))
    assert.equal(store.describe(store.logs().length), undefined)
  })

  story('T1: records get dense positions in the order of their appends', async (bench) => {
    const { first, end } = bench.store.extent(bench.log)
    assert.equal(first, end)
    const outcomes = [await bench.append({ topic: SHARD }, { topic: 'shard/two' }), await bench.append({ topic: SHARD })]
    assert.deepEqual(outcomes, [
      { kind: 'appended', basePosition: end },
      { kind: 'appended', basePosition: end + 2 },
    ])
    assert.equal(bench.store.extent(bench.log).end, end + 3)
    assert.deepEqual(positions(await bench.read(['#'])), [end, end + 1, end + 2])
  })

  story('what is appended before an earlier append is answered comes after it', async (bench) => {
    const bases: number[] = []
    for (let at = 0; at < 5; at++)
      bench.store.append(bench.log, batchOf([{ topic: SHARD, payload: String(at) }]), (outcome) => {
        if (outcome.kind === 'appended') bases.push(outcome.basePosition)
      })
    await bench.settle()
    assert.deepEqual(bases, [0, 1, 2, 3, 4])
    assert.deepEqual(
      (await bench.read([SHARD])).map(({ payload }) => payload),
      ['0', '1', '2', '3', '4'],
    )
  })
}

function reading(story: Story): void {
  story('a read returns what matches any of the filters, in order, each record once', async (bench) => {
    await bench.write('a', 'a/b', 'b', '$own')
    await bench.write('a/b', 'c', 'a')
    assert.deepEqual(positions(await bench.read(['a'])), [0, 6])
    assert.deepEqual(positions(await bench.read(['a/#'])), [0, 1, 4, 6])
    assert.deepEqual(positions(await bench.read(['+', 'a', 'a/b'])), [0, 1, 2, 4, 5, 6])
    assert.deepEqual(positions(await bench.read(['#'])), [0, 1, 2, 4, 5, 6], 'a wildcard leaves out names that begin with $')
    assert.deepEqual(positions(await bench.read(['$own'])), [3])
    assert.deepEqual(await bench.read(['nobody']), [])
  })

  story('a read of few bytes returns at least one record, and the pages together are the whole', async (bench) => {
    for (let at = 0; at < 30; at++) await bench.write(`t/${at % 7}`, `t/${at % 3}`, 'other')
    const whole = await bench.read(['t/+'])
    assert.equal(whole.length, 60)
    assert.deepEqual(await bench.read(['t/+'], 0, 1), whole)
    assert.deepEqual(
      await bench.read(['t/+'], 45, 1),
      whole.filter(({ position }) => position >= 45),
    )
  })

  story('a read at the end says so, and one from beyond it goes on at the end', async (bench) => {
    await bench.write('a', 'b')
    const atEnd = await bench.store.read({ log: bench.log, from: 2, filters: ['#'], bytesMax: 1 })
    assert.deepEqual({ next: atEnd.next, atEnd: atEnd.atEnd, from: atEnd.from, batches: atEnd.batches.length }, END_AT_TWO)
    const beyond = await bench.store.read({ log: bench.log, from: 99, filters: ['#'], bytesMax: 1 })
    assert.equal(beyond.next, 2)
    assert.equal(beyond.atEnd, true)
  })

  story('fetch returns the records at the positions, whatever their topics, without those that are not there', async (bench) => {
    await bench.write('a', 'b', 'c')
    await bench.write('d', 'e')
    const fetched = recordsOf(await bench.store.fetch(bench.log, [0, 2, 4, 99]))
    assert.deepEqual(
      fetched.map(({ position, topic }) => `${position} ${topic}`),
      ['0 a', '2 c', '4 e'],
    )
  })

  story('the place of a time misses no record appended at or after it', async (bench) => {
    for (let at = 0; at < 5; at++) {
      await bench.write('a')
      await bench.pass(1000)
    }
    const times = new Map<number, number>()
    for (const batch of (await bench.store.read({ log: bench.log, from: 0, filters: ['#'], bytesMax: 1 << 20 })).batches)
      for (const { position } of recordsOf([batch])) times.set(position, batch.appendTimeMs)
    for (const [position, timeMs] of times) {
      const found = await bench.store.positionAt(bench.log, timeMs)
      assert.ok(found <= position && found >= position - 1, `${found} for record ${position}`)
    }
    assert.equal(await bench.store.positionAt(bench.log, Number.MAX_SAFE_INTEGER), 5)
  })
}

const END_AT_TWO = { next: 2, atEnd: true, from: 2, batches: 0 }

function readingByKey(story: Story): void {
  story('a read by key returns the records of one shard that have it, in order, each once, page by page', async (bench) => {
    await bench.append({ topic: SHARD, key: 'k', payload: '0' }, { topic: SHARD, payload: '1' }, { topic: SHARD, key: 'kk', payload: '2' })
    await bench.append(
      { topic: 'other', key: 'k', payload: '3' },
      { topic: SHARD, key: 'k', payload: '4' },
      { topic: SHARD, key: '', payload: '5' },
    )
    for (let at = 6; at < 30; at++) await bench.append({ topic: SHARD, key: at % 3 === 0 ? 'k' : 'l', payload: String(at) })
    const wanted = [0, 4, 6, 9, 12, 15, 18, 21, 24, 27]
    assert.deepEqual(positions(await bench.readKey('k')), wanted)
    assert.deepEqual(positions(await bench.readKey('k', 10, 1)), [12, 15, 18, 21, 24, 27])
    assert.deepEqual(positions(await bench.readKey('')), [5])
    assert.deepEqual(positions(await bench.readKey('nothing')), [])
    if (!bench.traits.survives) return
    await bench.restart()
    assert.deepEqual(positions(await bench.readKey('k', 0, 1)), wanted, 'after a crash too')
  })
}

function following(story: Story): void {
  story(
    'a registered interest gets every record from the position it was told, in order, and none when it is taken back as often',
    async (bench) => {
      const sink = new NotingSink()
      bench.store.attach(sink)
      await bench.write('a/1')
      await bench.store.register('a/+')
      const [started] = (await bench.store.register('a/+')).filter(({ log }) => log === bench.log)
      // The filter is not for the topic of a log that has only one; that others write to it is a liberty of this suite.
      assert.equal(started?.position, bench.traits.model === 'shared' ? 1 : undefined)
      await bench.write('a/1', 'b')
      await bench.write('c')
      bench.store.deregister('a/+')
      await bench.write('a/2')
      bench.store.deregister('a/+')
      await bench.write('a/3')
      assert.deepEqual(
        sink.of(bench.log).filter(({ topic }) => topic.startsWith('a/')),
        [
          { position: 1, topic: 'a/1', payload: 'a/1' },
          { position: 4, topic: 'a/2', payload: 'a/2' },
        ],
      )
    },
  )

  story('a record is handed on before its append is answered, and can be read by then', async (bench) => {
    const order: string[] = []
    bench.store.attach({ onCommitted: () => order.push('handed on') })
    await bench.store.register('#')
    bench.store.append(bench.log, batchOf([{ topic: 'a' }]), () => order.push(`answered at ${bench.store.extent(bench.log).end}`))
    await bench.settle()
    assert.deepEqual(order, ['handed on', 'answered at 1'])
  })
}

function remembering(story: Story): void {
  const once: Sample = { topic: 'a', payload: 'once', publisher: 7, sequence: 11 }

  story('Q4: a sequence of a publisher is appended once, until it is released', async (bench) => {
    assert.equal((await bench.append(once)).kind, 'appended')
    assert.equal((await bench.append(once, { ...once, sequence: 12 })).kind, 'appended')
    assert.equal((await bench.append({ ...once, publisher: 8 })).kind, 'appended')
    assert.equal((await bench.read(['a'])).length, 3)
    assert.deepEqual(await bench.store.unreleased(7), [
      { sequence: 11, log: bench.log },
      { sequence: 12, log: bench.log },
    ])
    assert.equal(await finished(bench, bench.store.release(7, 11, undefined)), true)
    assert.equal(await finished(bench, bench.store.release(7, 11, bench.log)), false)
    await bench.append(once)
    assert.equal((await bench.read(['a'])).length, 4)
  })

  story('what is forgotten of a publisher leaves those of others', async (bench) => {
    await bench.append(once, { ...once, sequence: 12 }, { ...once, publisher: 8 })
    await finished(bench, bench.store.forget([7, 9]))
    assert.deepEqual(await bench.store.unreleased(7), [])
    assert.deepEqual(await bench.store.unreleased(8), [{ sequence: 11, log: bench.log }])
  })
}

function surviving(story: Story): void {
  story('R8: what was answered is there after a crash: records, order, times and sequences', async (bench) => {
    await bench.write('a', 'b')
    await bench.append({ topic: 'a', publisher: 7, sequence: 11 })
    const before = await bench.read(['#'])
    await bench.restart()
    assert.deepEqual(await bench.read(['#']), before)
    assert.equal(bench.store.extent(bench.log).end, 3)
    assert.deepEqual(await bench.store.unreleased(7), [{ sequence: 11, log: bench.log }])
    assert.deepEqual(await bench.append({ topic: 'a' }), { kind: 'appended', basePosition: 3 })
  })
}

async function finished<Result>(bench: Bench, work: Promise<Result>): Promise<Result> {
  await bench.settle()
  return await work
}

class NotingSink implements TailSink {
  readonly #seen: { readonly log: LogId; readonly record: Seen }[] = []

  onCommitted(log: LogId, batch: RecordBatch): void {
    for (const record of recordsOf([batch])) this.#seen.push({ log, record })
  }

  of(log: LogId): readonly Seen[] {
    return this.#seen.filter((seen) => seen.log === log).map(({ record }) => record)
  }
}

function batchOf(samples: readonly Sample[]): RecordBatch {
  const builder = new RecordBatchBuilder(64)
  for (const { topic, payload = 'x', publisher = 1, sequence = -1, key } of samples) {
    const bytes = Buffer.from(payload)
    const attributes = (sequence < 0 ? 1 : 2 | ATTRIBUTE.sequence) | (key === undefined ? 0 : ATTRIBUTE.key)
    const recordKey = Buffer.from(key ?? '')
    const delta = builder.recordCount
    builder.append(builder.topic(topic), attributes, publisher, 0, sequence, NO_HEADERS, bytes, 0, bytes.length, delta, recordKey)
  }
  return builder.build()
}

/** Each batch is checked as one from a disk. */
function recordsOf(batches: readonly RecordBatch[]): readonly Seen[] {
  const seen: Seen[] = []
  const cursor = new RecordCursor()
  for (const batch of batches) {
    const parsed = RecordBatch.parse(batch.bytes)
    cursor.reset(parsed)
    while (cursor.next()) {
      const payload = parsed.bytes.toString('utf8', cursor.payloadStart, cursor.end)
      seen.push({ position: cursor.position, topic: parsed.topics[cursor.topic] as string, payload })
    }
  }
  return seen
}
