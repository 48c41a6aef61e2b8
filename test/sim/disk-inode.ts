// SPDX-License-Identifier: Apache-2.0
// One file of the simulated disk: its page cache, its platter, and what a power loss makes of the difference (RELIABILITY T18).
import type { Random } from '#base/port/random'

/** What a power loss keeps of what was not synced: 'some' decides sector by sector and name by name. */
export type Unsynced = 'none' | 'all' | 'some'

/** Whether a power loss keeps an unsynced change, whole, by its number. */
export type Survival = (change: number) => boolean

/** What a disk writes whole or not: smaller than the sectors of most disks, so that tests see more tears than users do. */
export const SECTOR_BYTES = 512

/** What one sync promises: the sectors and the size as they were when it began. */
export interface DirtyPages {
  readonly sectors: ReadonlyMap<number, Buffer>
  readonly size: number
  readonly sizeChanged: boolean
  readonly writes: number
}

export class SimInode {
  #cache = new GrowingBytes()
  #platter = new GrowingBytes()
  /** Sector to the number of the write that last touched it. */
  #dirty = new Map<number, number>()
  #sizeChanged = false
  /** Smallest size since the last sync: a shrink that is not synced may or may not survive. */
  #sizeLow = 0
  #writes = 0

  get size(): number {
    return this.#cache.size
  }

  read(offset: number, length: number): Buffer {
    return this.#cache.read(offset, length)
  }

  write(offset: number, bytes: Buffer): void {
    if (bytes.length === 0) return
    const end = offset + bytes.length
    const before = this.size
    this.#writes++
    this.#cache.write(offset, bytes)
    // A gap reads as zeros, and is as dirty as what was written after it.
    this.#touch(Math.min(offset, before), end)
    if (end > before) this.#sizeChanged = true
  }

  truncate(size: number): void {
    const before = this.size
    if (size === before) return
    this.#writes++
    this.#cache.resize(size)
    this.#sizeLow = Math.min(this.#sizeLow, size)
    this.#sizeChanged = true
    for (const sector of [...this.#dirty.keys()]) if (sector * SECTOR_BYTES >= size) this.#dirty.delete(sector)
    if (size > before) this.#touch(before, size)
  }

  /** What a sync that begins now will make durable. */
  dirty(): DirtyPages {
    const sectors = new Map<number, Buffer>()
    for (const sector of [...this.#dirty.keys()].sort((a, b) => a - b)) sectors.set(sector, Buffer.from(this.#sector(this.#cache, sector)))
    return { sectors, size: this.size, sizeChanged: this.#sizeChanged, writes: this.#writes }
  }

  /** A sync succeeded. What was written while it ran stays dirty. */
  persist(pages: DirtyPages): void {
    if (pages.sizeChanged) this.#platter.resize(pages.size)
    for (const [sector, bytes] of pages.sectors) {
      this.#platter.write(sector * SECTOR_BYTES, bytes)
      const writer = this.#dirty.get(sector)
      if (writer !== undefined && writer <= pages.writes) this.#dirty.delete(sector)
    }
    if (this.#writes === pages.writes) {
      this.#sizeChanged = false
      this.#sizeLow = this.size
    }
  }

  /** A sync failed: the pages are called clean though the platter never got them, and go on being read until the power goes (fsyncgate). */
  dropDirty(): void {
    this.#dirty.clear()
    this.#sizeChanged = false
    this.#sizeLow = this.size
  }

  damage(offset: number, mask: number): void {
    this.#cache.exclusiveOr(offset, mask)
    this.#platter.exclusiveOr(offset, mask)
  }

  /** Writes that no sync has covered and no later one has overwritten, oldest first. */
  unsyncedWrites(): readonly number[] {
    const writes = new Set(this.#dirty.values())
    // A truncation makes no page dirty.
    if (this.#sizeChanged) writes.add(this.#writes)
    return [...writes].sort((a, b) => a - b)
  }

  /** What is left when whole writes survive or do not. */
  withWrites(survives: (write: number) => boolean): SimInode {
    const survivor = this.#platter.clone()
    const isWhole = survives(this.#writes)
    if (this.#sizeChanged && isWhole) survivor.resize(this.size)
    for (const [sector, write] of [...this.#dirty].sort(([a], [b]) => a - b))
      if (survives(write)) survivor.write(sector * SECTOR_BYTES, this.#sector(this.#cache, sector))
    return SimInode.#of(survivor)
  }

  afterPowerLoss(random: Random, unsynced: Unsynced): SimInode {
    const survivor = this.#platter.clone()
    const target = unsynced === 'all' ? this.size : unsynced === 'none' ? survivor.size : this.#survivingSize(random)
    if (this.#sizeChanged) {
      const before = survivor.size
      survivor.resize(target)
      // Size may be durable before data is: then the tail holds whatever the blocks held.
      if (unsynced === 'some' && target > before && random.chance(0.5)) survivor.write(before, random.bytes(target - before))
    }
    for (const sector of [...this.#dirty.keys()].sort((a, b) => a - b)) {
      if (unsynced === 'none') break
      const fresh = this.#sector(this.#cache, sector)
      const start = sector * SECTOR_BYTES
      const [from, to] = unsynced === 'all' ? [0, fresh.length] : survivingPart(random, fresh.length)
      const end = this.#sizeChanged ? Math.min(to, target - start) : to
      if (from < end) survivor.write(start + from, fresh.subarray(from, end))
    }
    return SimInode.#of(survivor)
  }

  static #of(bytes: GrowingBytes): SimInode {
    const inode = new SimInode()
    inode.#cache = bytes
    inode.#platter = bytes.clone()
    inode.#sizeLow = bytes.size
    return inode
  }

  clone(): SimInode {
    const copy = new SimInode()
    copy.#cache = this.#cache.clone()
    copy.#platter = this.#platter.clone()
    copy.#dirty = new Map(this.#dirty)
    copy.#sizeChanged = this.#sizeChanged
    copy.#sizeLow = this.#sizeLow
    copy.#writes = this.#writes
    return copy
  }

  #survivingSize(random: Random): number {
    const bounds = [this.#platter.size, this.size, this.#sizeLow].sort((a, b) => a - b)
    const choice = random.range(0, 3)
    return choice < 3 ? bounds[choice]! : random.range(bounds[0]!, bounds[2]!)
  }

  #touch(from: number, to: number): void {
    const last = Math.ceil(to / SECTOR_BYTES)
    for (let sector = Math.floor(from / SECTOR_BYTES); sector < last; sector++) this.#dirty.set(sector, this.#writes)
  }

  #sector(bytes: GrowingBytes, sector: number): Buffer {
    return bytes.read(sector * SECTOR_BYTES, SECTOR_BYTES)
  }
}

/** A sector that was on its way: all of it, none of it, its beginning or its end. */
function survivingPart(random: Random, length: number): readonly [number, number] {
  switch (random.range(0, 3)) {
    case 0:
      return [0, length]
    case 1:
      return [0, random.range(0, length)]
    case 2:
      return [random.range(0, length), length]
    default:
      return [0, 0]
  }
}

class GrowingBytes {
  #bytes: Buffer = Buffer.alloc(0)
  #size = 0

  get size(): number {
    return this.#size
  }

  read(offset: number, length: number): Buffer {
    return this.#bytes.subarray(Math.min(offset, this.#size), Math.min(offset + length, this.#size))
  }

  write(offset: number, bytes: Buffer): void {
    if (offset + bytes.length > this.#size) this.resize(offset + bytes.length)
    bytes.copy(this.#bytes, offset)
  }

  /** Growth reads as zeros, also over bytes that an earlier shrink left behind. */
  resize(size: number): void {
    if (size > this.#bytes.length) {
      const grown = Buffer.alloc(Math.max(size, this.#bytes.length * 2, SECTOR_BYTES))
      this.#bytes.copy(grown, 0, 0, this.#size)
      this.#bytes = grown
    } else if (size > this.#size) this.#bytes.fill(0, this.#size, size)
    this.#size = size
  }

  exclusiveOr(offset: number, mask: number): void {
    if (offset < this.#size) this.#bytes[offset] = this.#bytes[offset]! ^ mask
  }

  clone(): GrowingBytes {
    const copy = new GrowingBytes()
    copy.#bytes = Buffer.from(this.#bytes.subarray(0, this.#size))
    copy.#size = this.#size
    return copy
  }
}
