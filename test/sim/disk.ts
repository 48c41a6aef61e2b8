// SPDX-License-Identifier: Apache-2.0
// A disk that fails the way disks do (RELIABILITY T18): a page cache over a platter, names that need a directory sync, and power loss.
//
// Reads see the page cache. A power loss keeps what was synced; of the rest, each 512-byte sector by itself may be there, be missing, or be
// torn, a file may have grown without its data, and each change of a name may have happened or not. The death of the process alone
// loses nothing. Everything random is drawn from the Random that `crash` is given, in a fixed order.
import { assert } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Disk, DiskFile } from '#base/port/disk'
import type { Random } from '#base/port/random'
import { SimInode, type Survival, type Unsynced } from './disk-inode.ts'

export type DiskOperation =
  | 'open'
  | 'list'
  | 'read'
  | 'write'
  | 'sync'
  | 'truncate'
  | 'makeDirectory'
  | 'remove'
  | 'rename'
  | 'syncDirectory'

export interface SimDiskOptions {
  /** Bytes that fit; a write that does not fit leaves its first part behind and rejects with diskFull. Unlimited by default. */
  readonly capacityBytes?: number
  /**
   * How long an operation takes. Awaited after a change has reached the page cache, and in the middle of a sync. A promise that never settles stops
   * the operation there, which is how a test loses power at a chosen point.
   */
  readonly delay?: (operation: DiskOperation) => Promise<void> | undefined
}

/** One change of names, atomic: a rename takes the old name away exactly when it gives the new one. */
interface NameChange {
  readonly directory: string
  readonly set: ReadonlyMap<string, SimInode | undefined>
}

/** What outlives the process: handed from a dead process's disk to the next one's. */
interface Media {
  readonly directories: Set<string>
  /** Names as the running system sees them. */
  readonly names: Map<string, SimInode>
  /** Names a power loss leaves for certain. */
  readonly durable: Map<string, SimInode>
  /** Changes from `durable` to `names`, oldest first. */
  readonly pending: NameChange[]
}

export class SimDisk implements Disk {
  #media: Media = { directories: new Set(['']), names: new Map(), durable: new Map(), pending: [] }
  readonly #options: SimDiskOptions
  readonly #faults = new Map<DiskOperation, number>()
  #faultStruck = false
  #dead = false
  #capacityBytes: number

  constructor(options: SimDiskOptions = {}) {
    this.#options = options
    this.#capacityBytes = options.capacityBytes ?? Number.MAX_SAFE_INTEGER
  }

  // What the process under test sees.

  async open(path: string, mode: 'create' | 'open'): Promise<DiskFile> {
    await this.enter('open')
    let inode = this.#media.names.get(path)
    if (mode === 'open') {
      if (inode === undefined) throw new PlatformError(ERROR_CODES.notFound, `open ${path}: there is no such file`)
      return new SimFile(this, path, inode)
    }
    if (inode !== undefined) throw new PlatformError(ERROR_CODES.diskFailed, `create ${path}: the file exists`)
    if (!this.#media.directories.has(parentOf(path)))
      throw new PlatformError(ERROR_CODES.notFound, `create ${path}: there is no such directory`)
    inode = new SimInode()
    this.#rename(path, [[path, inode]])
    return new SimFile(this, path, inode)
  }

  fullPath(path: string): string {
    return `/data/${path}`
  }

  async exists(path: string): Promise<boolean> {
    await this.enter('list')
    return this.#media.names.has(path) || this.#media.directories.has(path)
  }

  async list(directory: string): Promise<readonly string[]> {
    await this.enter('list')
    const paths = [...this.#media.names.keys(), ...this.#media.directories]
    return paths
      .filter((path) => path !== '' && parentOf(path) === directory)
      .map((path) => path.slice(path.lastIndexOf('/') + 1))
      .sort()
  }

  async makeDirectory(directory: string): Promise<void> {
    await this.enter('makeDirectory')
    for (let path = directory; path !== ''; path = parentOf(path)) this.#media.directories.add(path)
    await this.pause('makeDirectory')
  }

  async remove(path: string): Promise<void> {
    await this.enter('remove')
    this.#present(path, 'remove')
    this.#rename(path, [[path, undefined]])
    await this.pause('remove')
  }

  async removeDirectory(directory: string): Promise<void> {
    await this.enter('remove')
    const { directories, names, pending } = this.#media
    if (!directories.has(directory)) throw new PlatformError(ERROR_CODES.notFound, `remove ${directory}: there is no such directory`)
    if ([...names.keys(), ...directories].some((path) => path !== '' && parentOf(path) === directory))
      throw new PlatformError(ERROR_CODES.diskFailed, `remove ${directory}: it is not empty`)
    assert(!pending.some((change) => change.directory === directory), 'a directory goes when what was removed from it is gone for certain')
    directories.delete(directory)
    await this.pause('remove')
  }

  async rename(from: string, to: string): Promise<void> {
    await this.enter('rename')
    assert(parentOf(from) === parentOf(to), 'the simulated disk renames within one directory')
    this.#rename(to, [
      [from, undefined],
      [to, this.#present(from, 'rename')],
    ])
    await this.pause('rename')
  }

  async syncDirectory(directory: string): Promise<void> {
    await this.enter('syncDirectory')
    const covered = new Set(this.#media.pending.filter((change) => change.directory === directory))
    await this.pause('syncDirectory')
    const { pending, durable } = this.#media
    for (let at = 0; at < pending.length; ) {
      const change = pending[at]!
      if (covered.has(change)) {
        applyNames(durable, change)
        pending.splice(at, 1)
      } else at++
    }
  }

  async free(): Promise<number> {
    await this.enter('list')
    return this.#free()
  }

  // What the test does to it.

  /** Takes back injected faults. False when one has struck this process. */
  heal(): boolean {
    this.#faults.clear()
    return !this.#faultStruck
  }

  /** Ends the process: its calls never settle. What it wrote is in the page cache of the disk that is returned. */
  kill(options: SimDiskOptions = this.#options): SimDisk {
    this.#dead = true
    const next = new SimDisk({ ...options, capacityBytes: options.capacityBytes ?? this.#capacityBytes })
    next.#media = this.#media
    return next
  }

  /** Ends the process and the power; returns the disk as the next start finds it. */
  crash(random: Random, unsynced: Unsynced = 'some', options: SimDiskOptions = this.#options): SimDisk {
    const next = this.kill(options)
    const keep = (): boolean => unsynced === 'all' || (unsynced === 'some' && random.chance(0.5))
    const names = new Map(this.#media.durable)
    for (const change of this.#media.pending) if (keep()) applyNames(names, change)
    const paths = [...names.keys()].sort()
    const survivors = new Map(paths.map((path) => [path, names.get(path)!.afterPowerLoss(random, unsynced)]))
    next.#media = { directories: new Set(this.#media.directories), names: survivors, durable: new Map(survivors), pending: [] }
    return next
  }

  /** Changes that no sync has covered: those of names, then the writes of each file. What `crashKeeping` numbers. */
  get unsyncedChanges(): number {
    let count = this.#media.pending.length
    for (const [, inode] of this.#files()) count += inode.unsyncedWrites().length
    return count
  }

  /** Ends the process and the power. Of what was not synced exactly the changes that survive are there, each of them whole. */
  crashKeeping(survives: Survival, options: SimDiskOptions = this.#options): SimDisk {
    const next = this.kill(options)
    const names = new Map(this.#media.durable)
    const { pending } = this.#media
    pending.forEach((change, number) => {
      if (survives(number)) applyNames(names, change)
    })
    let first = pending.length
    const survivors = new Map<SimInode, SimInode>()
    for (const [, inode] of this.#files()) {
      const writes = inode.unsyncedWrites()
      const from = first
      survivors.set(
        inode,
        inode.withWrites((write) => writes.includes(write) && survives(from + writes.indexOf(write))),
      )
      first += writes.length
    }
    const left = [...names].map(([path, inode]) => [path, survivors.get(inode) ?? inode.withWrites(() => false)] as const)
    next.#media = { directories: new Set(this.#media.directories), names: new Map(left), durable: new Map(left), pending: [] }
    return next
  }

  /** Sorted by path. */
  #files(): readonly (readonly [string, SimInode])[] {
    return [...this.#media.names].sort(([a], [b]) => (a < b ? -1 : 1))
  }

  /** An equal disk with a life of its own. */
  clone(options: SimDiskOptions = this.#options): SimDisk {
    const next = new SimDisk({ ...options, capacityBytes: options.capacityBytes ?? this.#capacityBytes })
    const copies = new Map<SimInode, SimInode>()
    const copy = (inode: SimInode): SimInode => {
      const known = copies.get(inode) ?? inode.clone()
      copies.set(inode, known)
      return known
    }
    const copyNames = (names: ReadonlyMap<string, SimInode>) => new Map([...names].map(([path, inode]) => [path, copy(inode)]))
    next.#media = {
      directories: new Set(this.#media.directories),
      names: copyNames(this.#media.names),
      durable: copyNames(this.#media.durable),
      pending: this.#media.pending.map(({ directory, set }) => ({
        directory,
        set: new Map([...set].map(([path, inode]) => [path, inode === undefined ? undefined : copy(inode)])),
      })),
    }
    return next
  }

  /** The next `count` operations of this kind fail with diskFailed. A failed sync drops the dirty pages and calls them clean (R48). */
  fail(operation: DiskOperation, count = 1): void {
    this.#faults.set(operation, count)
  }

  setCapacity(bytes: number): void {
    this.#capacityBytes = bytes
  }

  /** Exclusive-ors one byte, in the page cache and on the platter: damage that no sync undoes. */
  damage(path: string, offset: number, mask: number): void {
    this.#present(path, 'damage').damage(offset, mask)
  }

  /** Sets the size of a file, durably: what a careless copy does. */
  resize(path: string, size: number): void {
    const inode = this.#present(path, 'resize')
    inode.truncate(size)
    inode.persist(inode.dirty())
  }

  /** The bytes of a file as the running system sees them. */
  bytes(path: string): Buffer {
    const inode = this.#present(path, 'read')
    return Buffer.from(inode.read(0, inode.size))
  }

  /** Every file, sorted by path. */
  paths(): readonly string[] {
    return [...this.#media.names.keys()].sort()
  }

  // For its files.

  /** Where every operation begins: a dead process gets no further, and an injected fault strikes. */
  async enter(operation: DiskOperation): Promise<void> {
    if (this.#dead) return never()
    const left = this.#faults.get(operation) ?? 0
    if (left === 0) return
    this.#faults.set(operation, left - 1)
    this.#faultStruck = true
    throw new PlatformError(ERROR_CODES.diskFailed, `simulated failure of ${operation}`)
  }

  /** The time an operation takes. */
  async pause(operation: DiskOperation): Promise<void> {
    await this.#options.delay?.(operation)
    if (this.#dead) return never()
  }

  /** How many of `bytes` more bytes fit. */
  room(bytes: number): number {
    return this.#capacityBytes === Number.MAX_SAFE_INTEGER ? bytes : Math.min(bytes, this.#free())
  }

  #free(): number {
    let used = 0
    for (const inode of this.#media.names.values()) used += inode.size
    return Math.max(0, this.#capacityBytes - used)
  }

  #present(path: string, verb: string): SimInode {
    const inode = this.#media.names.get(path)
    if (inode === undefined) throw new PlatformError(ERROR_CODES.notFound, `${verb} ${path}: there is no such file`)
    return inode
  }

  #rename(path: string, entries: readonly (readonly [string, SimInode | undefined])[]): void {
    const change = { directory: parentOf(path), set: new Map(entries) }
    applyNames(this.#media.names, change)
    this.#media.pending.push(change)
  }
}

class SimFile implements DiskFile {
  readonly path: string
  readonly #disk: SimDisk
  readonly #inode: SimInode
  #closed = false

  constructor(disk: SimDisk, path: string, inode: SimInode) {
    this.#disk = disk
    this.path = path
    this.#inode = inode
  }

  async size(): Promise<number> {
    await this.#enter('list')
    return this.#inode.size
  }

  async read(offset: number, length: number): Promise<Buffer> {
    await this.#enter('read')
    await this.#disk.pause('read')
    return Buffer.from(this.#inode.read(offset, length))
  }

  async write(offset: number, buffers: readonly Buffer[]): Promise<void> {
    await this.#enter('write')
    const bytes = Buffer.concat(buffers)
    const growth = Math.max(0, offset + bytes.length - this.#inode.size)
    const missing = growth - this.#disk.room(growth)
    this.#inode.write(offset, bytes.subarray(0, bytes.length - missing))
    await this.#disk.pause('write')
    if (missing > 0) throw new PlatformError(ERROR_CODES.diskFull, `write ${this.path}: ${missing} bytes did not fit`)
  }

  async sync(): Promise<void> {
    try {
      await this.#enter('sync')
    } catch (error) {
      this.#inode.dropDirty()
      throw error
    }
    const dirty = this.#inode.dirty()
    await this.#disk.pause('sync')
    this.#inode.persist(dirty)
  }

  async truncate(size: number): Promise<void> {
    await this.#enter('truncate')
    this.#inode.truncate(size)
    await this.#disk.pause('truncate')
  }

  async close(): Promise<void> {
    await this.#enter('list')
    this.#closed = true
  }

  async #enter(operation: DiskOperation): Promise<void> {
    await this.#disk.enter(operation)
    if (this.#closed) throw new PlatformError(ERROR_CODES.diskFailed, `${operation} ${this.path}: the file is closed`)
  }
}

function applyNames(names: Map<string, SimInode>, change: NameChange): void {
  for (const [path, inode] of change.set) {
    if (inode === undefined) names.delete(path)
    else names.set(path, inode)
  }
}

function parentOf(path: string): string {
  const at = path.lastIndexOf('/')
  return at === -1 ? '' : path.slice(0, at)
}

const never = (): Promise<never> => new Promise(() => {})
