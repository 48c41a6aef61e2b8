// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { NodeClock, RocksdbKv } from '#runtime'
import { storeError } from '../../../src/runtime/rocksdb-error.ts'
import { kvSuite } from '../../suite/kv.ts'

const OPTIONS = { clock: new NodeClock(), crash: (reason: Error) => assert.fail(reason) }

kvSuite('RocksDB', async () => {
  const parent = await mkdtemp(join(tmpdir(), 'robustmq-kv-'))
  let kv = await RocksdbKv.open(join(parent, 'kv'), OPTIONS)
  return {
    kv,
    async reopen() {
      await kv.close()
      kv = await RocksdbKv.open(join(parent, 'kv'), OPTIONS)
      return kv
    },
    async dispose() {
      await kv.close()
      await rm(parent, { recursive: true })
    },
  }
})

async function scratch(context: TestContext): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'robustmq-kv-'))
  context.after(() => rm(parent, { recursive: true }))
  return join(parent, 'kv')
}

describe('RocksdbKv', () => {
  it('a directory that is open already is reported as locked, with its name', async (context) => {
    const directory = await scratch(context)
    const kv = await RocksdbKv.open(directory, OPTIONS)
    await assert.rejects(RocksdbKv.open(directory, OPTIONS), (error: unknown) => {
      assert.ok(isPlatformError(error, ERROR_CODES.dataLocked))
      assert.ok(error.message.includes(directory))
      return true
    })
    await kv.close()
  })

  it('close ends open iterators first, may be repeated, and an iterator may be closed after it', async (context) => {
    const kv = await RocksdbKv.open(await scratch(context), OPTIONS)
    await kv.write([{ key: Buffer.from('a'), value: Buffer.from('1') }], { sync: false })
    const iterator = kv.iterate({ gte: Buffer.from('a'), lt: Buffer.from('b') })
    const reading = iterator.next(10)
    await Promise.all([kv.close(), kv.close()])
    assert.equal((await reading).length, 1)
    await iterator.close()
    await assert.rejects(kv.get(Buffer.from('a')), /not used after it is closed/)
  })

  it('an empty synced batch leaves a record in the log of RocksDB, so that it syncs what came before it', async (context) => {
    const directory = await scratch(context)
    const kv = await RocksdbKv.open(directory, OPTIONS)
    const before = await logBytes(directory)
    await kv.write([], { sync: false })
    assert.equal(await logBytes(directory), before)
    await kv.write([], { sync: true })
    assert.ok((await logBytes(directory)) > before)
    await kv.close()
  })
})

async function logBytes(directory: string): Promise<number> {
  const logs = (await readdir(directory)).filter((name) => name.endsWith('.log'))
  const sizes = await Promise.all(logs.map(async (name) => (await stat(join(directory, name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

describe('storeError', () => {
  const table = [
    ['IO error: While lock file: /lock/LOCK: Resource temporarily unavailable', ERROR_CODES.dataLocked],
    ['IO error: lock hold by current process, acquire time 1 acquiring thread 2: /d/LOCK: No locks available', ERROR_CODES.dataLocked],
    ['IO error: No space left on deviceWhile appending to file: /lock/000012.log: No space left on device', ERROR_CODES.diskFull],
    ['IO error: While fdatasync: /d/000012.log: Input/output error', ERROR_CODES.diskFailed],
    ['Corruption: block checksum mismatch: expected 1, got 2 in /d/000012.sst', ERROR_CODES.dataDamaged],
    [
      'IO error: No such file or directory: While open a file for random read: /d/000012.sst: No such file or directory',
      ERROR_CODES.dataDamaged,
    ],
    ['Something new', ERROR_CODES.diskFailed],
  ] as const
  for (const [words, code] of table) {
    it(`'${words}' is ${code.name}`, () => {
      const cause = new Error(words)
      const error = storeError('/d', 'write', cause)
      assert.equal(error.code, code)
      assert.equal(error.cause, cause)
    })
  }
})
