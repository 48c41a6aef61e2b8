// SPDX-License-Identifier: Apache-2.0
// The store against a disk that does not keep what it was given, and against RocksDB where it does not tell.
import assert from 'node:assert/strict'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import level from 'level-rocksdb'
import { isPlatformError, type PlatformError } from '#base/error'
import { ERROR_CODES, type ErrorCode } from '#base/error-code'
import type { Timer } from '#base/port/clock'
import type { Kv } from '#base/port/kv'
import { RocksdbKv } from '#runtime'
import { StoreGuard } from '../../../src/runtime/rocksdb-guard.ts'
import { sealValue, unsealValue } from '../../../src/runtime/rocksdb-value.ts'
import { CHAIN_RANGE, RocksdbWriter } from '../../../src/runtime/rocksdb-writer.ts'

const LAZY = { sync: false }
const key = (text: string): Buffer => Buffer.from(text, 'latin1')
const put = (name: string, value: string) => ({ key: key(name), value: key(value) })

/** Time that passes when the test says so. */
class HandClock {
  #fire: (() => void) | undefined
  after(_delayMs: number, fire: () => void): Timer {
    this.#fire = fire
    return { cancel: () => (this.#fire = undefined) }
  }
  /** Lets the timer fire, if there is one. */
  pass(): void {
    this.#fire?.()
  }
}

class Crashes {
  readonly reasons: PlatformError[] = []
  get last(): PlatformError {
    return this.reasons.at(-1) as PlatformError
  }
  readonly options = {
    clock: new HandClock(),
    crash: (reason: Error): void => {
      this.reasons.push(reason as PlatformError)
    },
  }
}

async function scratch(context: TestContext): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'robustmq-kv-'))
  context.after(() => rm(parent, { recursive: true }))
  return join(parent, 'kv')
}

const open = (directory: string, crashes = new Crashes()): Promise<RocksdbKv> => RocksdbKv.open(directory, crashes.options)

const isRefusal =
  (code: ErrorCode, directory: string) =>
  (error: unknown): boolean => {
    assert.ok(isPlatformError(error, code), String(error))
    assert.ok(error.message.includes(directory), error.message)
    assert.match(error.message, /restore|start a new node/)
    return true
  }

async function logFile(directory: string): Promise<string> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.log'))
  return join(directory, names.sort().at(-1) as string)
}

async function flipBit(path: string, at: number): Promise<void> {
  const bytes = await readFile(path)
  bytes[at]! ^= 1
  await writeFile(path, bytes)
}

/** Writes by the binding itself, behind the back of the store. */
async function tamper(directory: string, operations: readonly level.Operation[]): Promise<void> {
  const options = { cacheSize: 1 << 20, writeBufferSize: 1 << 20, compression: false }
  const database = await new Promise<level.Database>((resolve, reject) => {
    const opening = level(directory, options, (error) => (error ? reject(error) : resolve(opening)))
  })
  await new Promise<void>((resolve, reject) =>
    database._db.db._batch(operations, { sync: true }, (error) => (error ? reject(error) : resolve())),
  )
  await new Promise<void>((resolve) => database.close(() => resolve()))
}

describe('E6 the chain of writes', () => {
  it('a bit flips in the log of RocksDB, which skips the rest of that block of 32 KiB: the store refuses, and goes on refusing', async (context) => {
    const directory = await scratch(context)
    const kv = await open(directory)
    for (let at = 0; at < 30; at++) await kv.write([put(`k${at}`, `value ${at};`.padEnd(5_000, '.'))], LAZY)
    await kv.close()
    const bytes = await readFile(await logFile(directory))
    for (let at = 0; at < 20; at += 3) {
      const copy = `${directory}.${at}`
      await cp(directory, copy, { recursive: true })
      await flipBit(await logFile(copy), bytes.indexOf(`value ${at};`))
      await assert.rejects(open(copy), isRefusal(ERROR_CODES.dataDamaged, copy), `write ${at}`)
      await assert.rejects(open(copy), isRefusal(ERROR_CODES.dataDamaged, copy), `write ${at} again`)
    }
  })

  it('it goes on over reopens, and scans do not see it', async (context) => {
    const directory = await scratch(context)
    for (let round = 0; round < 3; round++) {
      const kv = await open(directory)
      await kv.write([put(`r${round}`, 'x')], LAZY)
      await kv.write([], { sync: true })
      const pairs = await kv.scan({ gte: key('\0'), lt: key('\xff\xff\xff') })
      assert.equal(pairs.length, round + 1)
      assert.equal((await kv.scan(CHAIN_RANGE)).length, 1)
      await kv.close()
    }
  })

  it('writes that arrive at once are applied in order, whole, and in few writes', async (context) => {
    const kv = await open(await scratch(context))
    const before = await chainNumber(kv)
    await Promise.all(
      Array.from({ length: 500 }, (_, at) => kv.write([put('last', `${at}`), put(`k${at}`, `${at}`)], { sync: at % 7 === 0 })),
    )
    assert.equal((await kv.get(key('last')))?.toString(), '499')
    assert.equal((await kv.scan({ gte: key('k'), lt: key('l') })).length, 500)
    assert.equal((await chainNumber(kv)) - before, 2, 'the first one, then all the others')
    await kv.close()
  })

  it('batches are joined up to 1 MiB', async (context) => {
    const kv = await open(await scratch(context))
    const before = await chainNumber(kv)
    const value = Buffer.alloc(256 * 1024)
    await Promise.all(Array.from({ length: 9 }, (_, at) => kv.write([{ key: key(`k${at}`), value }], LAZY)))
    assert.equal((await chainNumber(kv)) - before, 1 + 2)
    await kv.close()
  })

  it('close waits for the writes that were given', async (context) => {
    const directory = await scratch(context)
    const kv = await open(directory)
    const writes = Promise.all(Array.from({ length: 50 }, (_, at) => kv.write([put(`k${at}`, 'x')], LAZY)))
    await kv.close()
    await writes
    const again = await open(directory)
    assert.equal((await again.scan({ gte: key('k'), lt: key('l') })).length, 50)
    await again.close()
  })
})

async function chainNumber(kv: Kv): Promise<number> {
  const [link] = await kv.scan(CHAIN_RANGE)
  return Number(link?.key.readBigUInt64BE(link.key.length - 8))
}

describe('R48 a write that fails', () => {
  it('takes all with it that were given after it: nothing is stored behind a gap', async () => {
    const calls: level.Done[] = []
    const handle = { _batch: (_operations: unknown, _options: unknown, done: level.Done) => calls.push(done) } as unknown as level.Handle
    const crashes = new Crashes()
    const writer = new RocksdbWriter(handle, new StoreGuard('/d/kv', crashes.options), 1)
    const outcomes = Promise.allSettled([1, 2, 3].map((at) => writer.write([put(`k${at}`, 'x')], false)))
    calls[0]?.(new Error('IO error: No space left on device'))
    for (const outcome of await outcomes) assert.ok(outcome.status === 'rejected' && isPlatformError(outcome.reason, ERROR_CODES.diskFull))
    await assert.rejects(writer.write([put('k4', 'x')], false), /disk is full/)
    assert.equal(calls.length, 1)
    assert.deepEqual(crashes.reasons, [], 'the owner decides what becomes of the process')
  })
})

describe('E6 the checksum of values', () => {
  it('any flipped bit of key or value, and any cut, is seen; an empty value is sealed too', () => {
    for (const text of ['', 'a', 'some value']) {
      const stored = sealValue(key('name'), key(text))
      assert.deepEqual(unsealValue(key('name'), stored), key(text))
      assert.equal(unsealValue(key('nbme'), stored), undefined)
      for (let bit = 0; bit < stored.length * 8; bit++) {
        stored[bit >> 3]! ^= 1 << (bit & 7)
        assert.equal(unsealValue(key('name'), stored), undefined)
        stored[bit >> 3]! ^= 1 << (bit & 7)
      }
      for (let length = 0; length < stored.length; length++) assert.equal(unsealValue(key('name'), stored.subarray(0, length)), undefined)
    }
  })

  it('L29: a verification tells which values are damaged, ends nothing, and goes on behind them', async (context) => {
    const directory = await scratch(context)
    const first = await open(directory)
    await first.write(
      ['a', 'b', 'c', 'd'].map((name) => put(name, 'value')),
      LAZY,
    )
    await first.close()
    await tamper(directory, [
      { type: 'put', key: key('b'), value: key('not sealed') },
      { type: 'put', key: key('d'), value: sealValue(key('c'), key('value')) },
    ])
    const crashes = new Crashes()
    const kv = await open(directory, crashes)
    const { damaged, next } = await kv.verify({ gte: key('a'), lt: key('z') })
    assert.deepEqual(damaged, [key('b'), key('d')])
    assert.equal(next, undefined)
    assert.deepEqual(crashes.reasons, [])
    assert.equal(String(await kv.get(key('c'))), 'value')
    await kv.close()
  })

  const reads = {
    get: (kv: Kv) => kv.get(key('b')),
    getMany: (kv: Kv) => kv.getMany([key('a'), key('b')]),
    scan: (kv: Kv) => kv.scan({ gte: key('b'), lt: key('c') }),
    'a later pair of a scan': (kv: Kv) => kv.scan({ gte: key('a'), lt: key('c') }),
  } as const
  for (const [name, read] of Object.entries(reads)) {
    it(`${name}: a wrong value is not returned, ends the process, and nothing is served after it`, async (context) => {
      const directory = await scratch(context)
      const first = await open(directory)
      await first.write([put('a', '1'), put('b', '2')], LAZY)
      await first.close()
      const stored = sealValue(key('b'), key('2'))
      stored[0]! ^= 4
      await tamper(directory, [{ type: 'put', key: key('b'), value: stored }])
      const crashes = new Crashes()
      const kv = await open(directory, crashes)
      assert.equal((await kv.get(key('a')))?.toString(), '1')
      await assert.rejects(read(kv), isRefusal(ERROR_CODES.dataDamaged, directory))
      assert.equal(crashes.reasons.length, 1)
      assert.match(crashes.last.message, /key 62 does not match its checksum/)
      await assert.rejects(kv.get(key('a')), isRefusal(ERROR_CODES.dataDamaged, directory))
      await assert.rejects(kv.write([put('c', '3')], LAZY), isRefusal(ERROR_CODES.dataDamaged, directory))
      assert.equal(crashes.reasons.length, 1)
      await kv.close()
    })
  }
})

describe('E6 values that stand alone', () => {
  const isolates = (name: Buffer): boolean => name[0] === 0x69

  it('damage to one is for its reader to deal with: the store goes on', async (context) => {
    const directory = await scratch(context)
    await (await open(directory)).close()
    await tamper(directory, [{ type: 'put', key: key('i1'), value: key('damaged') }])
    const crashes = new Crashes()
    const kv = await RocksdbKv.open(directory, { ...crashes.options, isolates })
    await kv.write([put('i2', '2'), put('x', '3')], LAZY)
    await assert.rejects(kv.get(key('i1')), isRefusal(ERROR_CODES.dataDamaged, directory))
    await assert.rejects(kv.getMany([key('i1'), key('i2')]), isRefusal(ERROR_CODES.dataDamaged, directory))
    await assert.rejects(kv.scan({ gte: key('i'), lt: key('j') }), isRefusal(ERROR_CODES.dataDamaged, directory))
    assert.deepEqual(await kv.getMany([key('i2'), key('x')]), [key('2'), key('3')])
    assert.deepEqual(crashes.reasons, [])
    await kv.write([{ key: key('i1'), value: undefined }], LAZY)
    assert.equal((await kv.scan({ gte: key('i'), lt: key('j') })).length, 1)
    await kv.close()
  })

  it('damage to any other ends the process all the same', async (context) => {
    const directory = await scratch(context)
    await (await open(directory)).close()
    await tamper(directory, [{ type: 'put', key: key('x'), value: key('damaged') }])
    const crashes = new Crashes()
    const kv = await RocksdbKv.open(directory, { ...crashes.options, isolates })
    await assert.rejects(kv.get(key('x')), isRefusal(ERROR_CODES.dataDamaged, directory))
    assert.equal(crashes.reasons.length, 1)
    await kv.close()
  })
})

describe('E6 what is refused at the start', () => {
  it('a store without a mark of its format, though there are keys in it', async (context) => {
    const directory = await scratch(context)
    await tamper(directory, [{ type: 'put', key: key('a'), value: key('1') }])
    await assert.rejects(open(directory), isRefusal(ERROR_CODES.dataVersion, directory))
  })

  it('a store of another format', async (context) => {
    const directory = await scratch(context)
    await (await open(directory)).close()
    const mark = key('\xff\xff\xff\xffformat')
    await tamper(directory, [{ type: 'put', key: mark, value: sealValue(mark, Buffer.from([0, 0, 0, 2])) }])
    await assert.rejects(open(directory), isRefusal(ERROR_CODES.dataVersion, directory))
  })

  it('CURRENT is missing: RocksDB would begin an empty store and delete the files of the old one', async (context) => {
    const directory = await scratch(context)
    await (await open(directory)).close()
    await rm(join(directory, 'CURRENT'))
    const before = await readdir(directory)
    await assert.rejects(open(directory), isRefusal(ERROR_CODES.dataDamaged, directory))
    assert.deepEqual(await readdir(directory), before)
  })

  it('the manifest that CURRENT names is missing', async (context) => {
    const directory = await scratch(context)
    await (await open(directory)).close()
    await writeFile(join(directory, 'CURRENT'), 'MANIFEST-000099\n')
    await assert.rejects(open(directory), isRefusal(ERROR_CODES.dataDamaged, directory))
  })

  it('a table is missing', async (context) => {
    const directory = await scratch(context)
    let kv = await open(directory)
    await kv.write([put('a', '1')], LAZY)
    await kv.close()
    // The log is made a table when it is replayed.
    kv = await open(directory)
    await kv.close()
    const table = (await readdir(directory)).find((name) => name.endsWith('.sst')) as string
    await rm(join(directory, table))
    await assert.rejects(open(directory), isRefusal(ERROR_CODES.dataDamaged, directory))
  })

  it('a key in a table is another: it would leave the range that is read, and its checksum with it', async (context) => {
    const directory = await scratch(context)
    let kv = await open(directory)
    await kv.write(
      Array.from({ length: 2000 }, (_, at) => put(`key ${at + 10_000}`, `value ${at}`)),
      LAZY,
    )
    await kv.close()
    kv = await open(directory)
    await kv.close()
    const table = (await readdir(directory)).find((name) => name.endsWith('.sst')) as string
    const path = join(directory, table)
    await flipBit(path, (await readFile(path)).indexOf('key 1'))
    await assert.rejects(open(directory), isRefusal(ERROR_CODES.dataDamaged, directory))
  })
})

describe('R48 the deadline of calls', () => {
  const PARTS = 4

  it('a call that has no answer ends the process, once, after the deadline and before a quarter more', () => {
    const crashes = new Crashes()
    const guard = new StoreGuard('/d/kv', { ...crashes.options, answerMs: 2_000 })
    guard.begin()
    for (let part = 0; part < PARTS; part++) crashes.options.clock.pass()
    assert.deepEqual(crashes.reasons, [])
    for (let part = 0; part < PARTS; part++) crashes.options.clock.pass()
    assert.equal(crashes.reasons.length, 1)
    assert.equal(crashes.last.code, ERROR_CODES.diskFailed)
    assert.match(crashes.last.message, /the store in \/d\/kv has not answered for 2 s/)
  })

  it('calls that are answered do not, however many there are', () => {
    const crashes = new Crashes()
    const guard = new StoreGuard('/d/kv', crashes.options)
    for (let part = 0; part < 10 * PARTS; part++) {
      const slots = Array.from({ length: 10 }, () => guard.begin())
      for (let wait = 0; wait < PARTS; wait++) crashes.options.clock.pass()
      for (const slot of slots) guard.end(slot)
    }
    assert.deepEqual(crashes.reasons, [])
    guard.close()
  })
})
