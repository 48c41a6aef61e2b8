// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import type { promises } from 'node:fs'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { AssertionError } from '#base/assert'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { NodeDisk } from '#runtime'
import { fileError } from '../../../src/runtime/file-error.ts'
import { NodeFile, withoutPrefix } from '../../../src/runtime/node-file.ts'
import { diskSuite } from '../../suite/disk.ts'

diskSuite('file system', async () => {
  const parent = await mkdtemp(join(tmpdir(), 'robustmq-disk-'))
  return { disk: await NodeDisk.open(join(parent, 'data')), dispose: () => rm(parent, { recursive: true }) }
})

async function scratch(context: TestContext): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'robustmq-disk-'))
  context.after(() => rm(parent, { recursive: true }))
  return parent
}

describe('NodeDisk', () => {
  it('the data directory is created with its parents, for this user only', async (context) => {
    const parent = await scratch(context)
    await NodeDisk.open(join(parent, 'a/b'))
    assert.equal((await stat(join(parent, 'a/b'))).mode & 0o777, 0o700)
  })

  it('a file in the place of the data directory is reported with its path', async (context) => {
    const parent = await scratch(context)
    await writeFile(join(parent, 'file'), '')
    await assert.rejects(NodeDisk.open(join(parent, 'file')), (error: unknown) => {
      assert.ok(isPlatformError(error, ERROR_CODES.diskFailed))
      assert.match(error.message, /file: ENOTDIR/)
      return true
    })
  })

  it('a path that leaves the data directory is a bug, not a file', async (context) => {
    const disk = await NodeDisk.open(await scratch(context))
    await assert.rejects(disk.open('../outside', 'create'), AssertionError)
    await assert.rejects(disk.open('/etc/hostname', 'open'), AssertionError)
  })
})

/** A file handle of which each writev takes at most `most` bytes. */
function reluctant(most: number, taken: Buffer[], fail?: NodeJS.ErrnoException): promises.FileHandle {
  const writev = async (buffers: readonly Buffer[], position: number) => {
    assert.equal(position, Buffer.concat(taken).length)
    if (fail !== undefined && taken.length > 0) throw fail
    const part = Buffer.concat(buffers).subarray(0, most)
    taken.push(part)
    return { bytesWritten: part.length, buffers }
  }
  return { writev } as unknown as promises.FileHandle
}

describe('NodeFile', () => {
  it('a short write goes on where it stopped, until all bytes are taken', async () => {
    const taken: Buffer[] = []
    const file = new NodeFile('f', '/f', reluctant(4, taken))
    await file.write(
      0,
      ['abc', '', 'defgh', 'i'].map((part) => Buffer.from(part)),
    )
    assert.equal(Buffer.concat(taken).toString(), 'abcdefghi')
  })

  it('a disk that is full after half of the bytes rejects with disk-full', async () => {
    const full = Object.assign(new Error('no room'), { code: 'ENOSPC' })
    const file = new NodeFile('f', '/f', reluctant(4, [], full))
    await assert.rejects(file.write(0, [Buffer.from('abcdefgh')]), (error: unknown) => isPlatformError(error, ERROR_CODES.diskFull))
  })

  it('a file that takes nothing rejects instead of trying for ever', async () => {
    const file = new NodeFile('f', '/f', reluctant(0, []))
    await assert.rejects(file.write(0, [Buffer.from('a')]), (error: unknown) => isPlatformError(error, ERROR_CODES.diskFailed))
  })

  it('after a failed sync no later one succeeds: the kernel has dropped the bytes (R48)', async () => {
    let calls = 0
    const datasync = async (): Promise<void> => {
      calls += 1
      if (calls === 1) throw Object.assign(new Error('bad sector'), { code: 'EIO' })
    }
    const file = new NodeFile('f', '/f', { datasync } as unknown as promises.FileHandle)
    await assert.rejects(file.sync(), (error: unknown) => isPlatformError(error, ERROR_CODES.diskFailed))
    await assert.rejects(file.sync(), (error: unknown) => isPlatformError(error, ERROR_CODES.diskFailed))
  })

  it('what is left of buffers begins inside the one that was cut', () => {
    const buffers = ['ab', 'cd', '', 'ef'].map((part) => Buffer.from(part))
    assert.deepEqual(withoutPrefix(buffers, 3).map(String), ['d', 'ef'])
    assert.deepEqual(withoutPrefix(buffers, 4).map(String), ['ef'])
    assert.deepEqual(withoutPrefix(buffers, 6), [])
  })
})

describe('fileError', () => {
  it('ENOSPC and EDQUOT are disk-full, ENOENT is not-found, the rest is disk-failed', () => {
    const codeOf = (errno: string): string => fileError('write', '/f', Object.assign(new Error(errno), { code: errno })).code.name
    assert.deepEqual(['ENOSPC', 'EDQUOT', 'ENOENT', 'EIO', 'EROFS'].map(codeOf), [
      'disk-full',
      'disk-full',
      'not-found',
      'disk-failed',
      'disk-failed',
    ])
  })
})
