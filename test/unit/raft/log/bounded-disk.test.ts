// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { DiskFile } from '#base/port/disk'
import { BoundedDisk } from '#raft'
import { SimDisk } from '../../../sim/disk.ts'
import { diskSuite } from '../../../suite/disk.ts'

/** Counts the files that are open. */
class CountingDisk extends SimDisk {
  openFiles = 0

  override async open(path: string, mode: 'create' | 'open'): Promise<DiskFile> {
    const file = await super.open(path, mode)
    this.openFiles++
    const close = file.close.bind(file)
    file.close = async () => {
      await close()
      this.openFiles--
    }
    return file
  }
}

for (const idleMax of [0, 2])
  diskSuite(`bounded to ${idleMax} idle files`, async () => ({ disk: new BoundedDisk(new SimDisk(), idleMax), dispose: async () => {} }))

/** Closing takes a moment that nobody waits for. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const bytes = (text: string): Buffer => Buffer.from(text)

/** So many files with a byte in each, synced. */
async function filled(disk: BoundedDisk, count: number): Promise<readonly DiskFile[]> {
  const files: DiskFile[] = []
  for (let at = 0; at < count; at++) {
    const file = await disk.open(`file-${at}`, 'create')
    await file.write(0, [bytes(String(at))])
    await file.sync()
    files.push(file)
  }
  return files
}

describe('BoundedDisk', () => {
  it('of many files that are used in turn few are open, and each is read as it was written', async () => {
    const disk = new CountingDisk()
    const files = await filled(new BoundedDisk(disk, 2), 9)
    for (let round = 0; round < 3; round++)
      for (const [at, file] of files.entries()) {
        assert.equal(String(await file.read(0, 9)), String(at))
        assert.ok(disk.openFiles <= 3, `${disk.openFiles} are open`)
      }
    await Promise.all(files.map((file) => file.close()))
    assert.equal(disk.openFiles, 0)
  })

  it('the one that has been idle for longest is closed first', async () => {
    const disk = new CountingDisk()
    const opened: string[] = []
    const open = disk.open.bind(disk)
    disk.open = (path, mode) => {
      opened.push(path)
      return open(path, mode)
    }
    const [first, second, third] = (await filled(new BoundedDisk(disk, 2), 3)) as [DiskFile, DiskFile, DiskFile]
    opened.length = 0
    await second.read(0, 1)
    await third.read(0, 1)
    assert.deepEqual(opened, [])
    await first.read(0, 1)
    await third.read(0, 1)
    await second.read(0, 1)
    assert.deepEqual(opened, ['file-0', 'file-1'])
  })

  it('R48: a file with writes that are not synced stays open, so that a failed sync is not forgotten', async () => {
    const disk = new CountingDisk()
    const bounded = new BoundedDisk(disk, 0)
    const file = await bounded.open('a', 'create')
    await file.write(0, [bytes('x')])
    await settled()
    assert.equal(disk.openFiles, 1)
    const syncing = file.sync()
    const writing = file.write(1, [bytes('y')])
    await Promise.all([syncing, writing])
    await settled()
    assert.equal(disk.openFiles, 1)
    await file.sync()
    await settled()
    assert.equal(disk.openFiles, 0)
    assert.equal(String(await file.read(0, 9)), 'xy')
    await file.truncate(1)
    await settled()
    assert.equal(disk.openFiles, 1)
    await file.close()
    assert.equal(disk.openFiles, 0)
  })

  it('a file whose name was removed, or given to another, is read to its end by those who have it', async () => {
    const bounded = new BoundedDisk(new SimDisk(), 0)
    const [first, second] = (await filled(bounded, 2)) as [DiskFile, DiskFile]
    await bounded.remove('file-0')
    assert.equal(String(await first.read(0, 9)), '0')
    assert.equal(await bounded.exists('file-0'), false)
    const other = await bounded.open('other', 'create')
    await other.write(0, [bytes('other')])
    await other.sync()
    await bounded.rename('other', 'file-1')
    assert.equal(String(await second.read(0, 9)), '1')
    assert.equal(String(await other.read(0, 9)), 'other')
  })

  it('several at once share the handle, and one that can not be opened can be tried again', async () => {
    const disk = new CountingDisk()
    const bounded = new BoundedDisk(disk, 0)
    const [file] = (await filled(bounded, 1)) as [DiskFile]
    const reads = await Promise.all([file.read(0, 1), file.read(0, 1), file.size()])
    assert.deepEqual([String(reads[0]), String(reads[1]), reads[2]], ['0', '0', 1])
    disk.fail('open', 1)
    await assert.rejects(file.read(0, 1), (error) => isPlatformError(error))
    assert.equal(String(await file.read(0, 1)), '0')
    await file.close()
    await assert.rejects(file.read(0, 1), (error) => isPlatformError(error, ERROR_CODES.diskFailed))
  })
})
