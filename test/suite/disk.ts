// SPDX-License-Identifier: Apache-2.0
// What every implementation of the Disk port must do. Run on the file system and on the simulator's disk; crashes are the simulator's own tests.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isPlatformError } from '#base/error'
import type { ErrorCode } from '#base/error-code'
import { ERROR_CODES } from '#base/error-code'
import type { Disk } from '#base/port/disk'

export interface DiskFixture {
  readonly disk: Disk
  dispose(): Promise<void>
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')

export function diskSuite(name: string, create: () => Promise<DiskFixture>): void {
  describe(`Disk: ${name}`, () => {
    let fixture: DiskFixture
    before(async () => {
      fixture = await create()
    })
    after(() => fixture.dispose())
    const disk = (): Disk => fixture.disk

    reading(disk)
    writing(disk)
    naming(disk)
  })
}

function reading(disk: () => Disk): void {
  it('a read is shorter only at the end of the file', async () => {
    const file = await disk().open('read', 'create')
    assert.equal(file.path, 'read')
    await file.write(0, [bytes('0123456789')])
    assert.equal(String(await file.read(2, 3)), '234')
    assert.equal(String(await file.read(8, 100)), '89')
    assert.equal((await file.read(10, 5)).length, 0)
    assert.equal((await file.read(1000, 5)).length, 0)
    assert.equal((await file.read(0, 0)).length, 0)
    await file.close()
  })

  it('what was read does not change with later writes', async () => {
    const file = await disk().open('stable', 'create')
    await file.write(0, [bytes('before')])
    const read = await file.read(0, 6)
    await file.write(0, [bytes('after!')])
    assert.equal(String(read), 'before')
    await file.close()
  })
}

function writing(disk: () => Disk): void {
  it('buffers are written one after the other, more of them than one system call takes', async () => {
    const file = await disk().open('vector', 'create')
    const parts = Array.from({ length: 2500 }, (_, at) => bytes(at % 5 === 0 ? '' : `${at},`))
    await file.write(3, parts)
    await file.sync()
    const expected = Buffer.concat([Buffer.alloc(3), ...parts])
    assert.equal(await file.size(), expected.length)
    assert.deepEqual(await file.read(0, expected.length + 1), expected)
    await file.close()
  })

  it('a write of nothing changes nothing', async () => {
    const file = await disk().open('nothing', 'create')
    await file.write(10, [])
    await file.write(10, [bytes('')])
    assert.equal(await file.size(), 0)
    await file.close()
  })

  it('writes overwrite, and a gap reads as zeros', async () => {
    const file = await disk().open('overwrite', 'create')
    await file.write(0, [bytes('aaaa')])
    await file.write(2, [bytes('bb'), bytes('cc')])
    await file.write(8, [bytes('d')])
    assert.deepEqual(await file.read(0, 100), bytes('aabbcc\0\0d'))
    await file.close()
  })

  it('truncate cuts, and growing again does not bring the old bytes back', async () => {
    const file = await disk().open('truncate', 'create')
    await file.write(0, [bytes('abcdef')])
    await file.truncate(2)
    assert.equal(await file.size(), 2)
    await file.truncate(4)
    assert.deepEqual(await file.read(0, 10), bytes('ab\0\0'))
    await file.close()
  })

  it('another opening of the file sees what was written', async () => {
    const file = await disk().open('shared', 'create')
    await file.write(0, [bytes('seen')])
    await file.sync()
    await file.close()
    const again = await disk().open('shared', 'open')
    assert.equal(String(await again.read(0, 10)), 'seen')
    await again.write(4, [bytes(' twice')])
    assert.equal(await again.size(), 10)
    await again.close()
  })
}

function naming(disk: () => Disk): void {
  it('create fails when the file exists, open when it does not', async () => {
    await (await disk().open('names', 'create')).close()
    await rejectsWith(disk().open('names', 'create'), ERROR_CODES.diskFailed)
    await rejectsWith(disk().open('names-not', 'open'), ERROR_CODES.notFound)
    assert.equal(await disk().exists('names'), true)
    assert.equal(await disk().exists('names-not'), false)
  })

  it('directories are made with their parents, list their names sorted, and may be made twice', async () => {
    await disk().makeDirectory('one/two/three')
    await disk().makeDirectory('one/two/three')
    await disk().makeDirectory('one/two')
    for (const name of ['b', 'a', 'C', '10', '9']) await (await disk().open(`one/two/${name}`, 'create')).close()
    assert.deepEqual(await disk().list('one/two'), ['10', '9', 'C', 'a', 'b', 'three'])
    assert.deepEqual(await disk().list('one/none'), [])
    await disk().syncDirectory('one/two')
  })

  it('remove takes the name away; a missing one is reported', async () => {
    await (await disk().open('gone', 'create')).close()
    await disk().remove('gone')
    assert.equal(await disk().exists('gone'), false)
    await rejectsWith(disk().remove('gone'), ERROR_CODES.notFound)
  })

  it('a directory is removed when it is empty, and only then', async () => {
    await disk().makeDirectory('room/inner')
    await (await disk().open('room/inner/file', 'create')).close()
    await rejectsWith(disk().removeDirectory('room/inner'), ERROR_CODES.diskFailed)
    await disk().remove('room/inner/file')
    await disk().syncDirectory('room/inner')
    await disk().removeDirectory('room/inner')
    assert.deepEqual(await disk().list('room'), [])
    await rejectsWith(disk().removeDirectory('room/inner'), ERROR_CODES.notFound)
  })

  it('rename moves the bytes and replaces what was there', async () => {
    const old = await disk().open('to', 'create')
    await old.write(0, [bytes('old bytes')])
    await old.close()
    const fresh = await disk().open('from', 'create')
    await fresh.write(0, [bytes('new')])
    await fresh.sync()
    await fresh.close()
    await disk().rename('from', 'to')
    assert.equal(await disk().exists('from'), false)
    const file = await disk().open('to', 'open')
    assert.equal(String(await file.read(0, 100)), 'new')
    await file.close()
    await rejectsWith(disk().rename('from', 'to'), ERROR_CODES.notFound)
  })

  it('free space is a count of bytes', async () => {
    const free = await disk().free()
    assert.ok(Number.isSafeInteger(free) && free >= 0)
  })
}

async function rejectsWith(work: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(isPlatformError(error, code), `expected ${code.name}, not ${String(error)}`)
    return true
  })
}
