// SPDX-License-Identifier: Apache-2.0
// What a node remembers of its peers, and of its own starts (R35, M4).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { PeerFile } from '#server'
import { SimDisk } from '../../../sim/disk.ts'

const clockAt = (nowMs: number) => ({
  monotonic: () => 0,
  realtime: () => nowMs,
  after: () => ({ cancel: () => undefined }),
  endOfTurn: () => undefined,
})

const open = (disk: SimDisk, nowMs = 1000): Promise<PeerFile> => PeerFile.open(disk, clockAt(nowMs))

describe('file of peers', () => {
  it('remembers disks across starts', async () => {
    const disk = new SimDisk()
    const first = await open(disk)
    assert.equal(first.get(2), undefined)
    await Promise.all([first.remember(2, 'two'), first.remember(3, 'three')])
    const second = await open(disk)
    assert.equal(second.get(2), 'two')
    assert.equal(second.get(3), 'three')
    assert.deepEqual(disk.paths(), ['peers'])
  })

  it('remembers the addresses of members across starts, the latest ones', async () => {
    const disk = new SimDisk()
    const file = await open(disk)
    await file.rememberAddresses(new Map([[1, 'a:1']]))
    await Promise.all([file.remember(2, 'two'), file.rememberAddresses(new Map([[2, 'b:1']]))])
    const next = await open(disk)
    assert.deepEqual([next.get(2), ...next.addresses], ['two', [2, 'b:1']])
  })

  it('R35 a node that is known keeps the disk that it has', async () => {
    const disk = new SimDisk()
    const file = await open(disk)
    await file.remember(2, 'two')
    await file.remember(2, 'another')
    assert.equal(file.get(2), 'two')
    assert.equal((await open(disk)).get(2), 'two')
  })

  it('M4 every start has a larger number, also when the clock has gone back', async () => {
    const disk = new SimDisk()
    const numbers: number[] = []
    for (const nowMs of [1000, 2000, 500, 2000]) numbers.push((await open(disk, nowMs)).bootEpoch)
    assert.deepEqual(numbers, [1000, 2000, 2001, 2002])
  })

  it('a file that is damaged, or of a newer version, is refused', async () => {
    const disk = new SimDisk()
    await open(disk)
    const file = await disk.open('peers', 'open')
    const bytes = await file.read(0, await file.size())
    bytes.writeUInt8((bytes[5] as number) ^ 1, 5)
    await file.write(0, [bytes])
    await assert.rejects(open(disk), (error) => isPlatformError(error, ERROR_CODES.dataDamaged))
  })
})
