// SPDX-License-Identifier: Apache-2.0
// A disk of which few files are open at a time, however many are in use: what is not being read or written is closed, the longest idle first, and opened again when it is
// needed. A file with writes that are not synced stays open, and so does one whose name is gone.
import { assert } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Disk, DiskFile } from '#base/port/disk'

export class BoundedDisk implements Disk {
  readonly #disk: Disk
  readonly #idleMax: number
  /** Those whose handle may be closed, the longest idle first. */
  readonly #idle = new Set<BoundedFile>()
  /** By path, those that are in use. */
  readonly #files = new Map<string, Set<BoundedFile>>()

  /** So many files that nothing is done with stay open. */
  constructor(disk: Disk, idleMax: number) {
    this.#disk = disk
    this.#idleMax = idleMax
  }

  async open(path: string, mode: 'create' | 'open'): Promise<DiskFile> {
    const file = new BoundedFile(path, await this.#disk.open(path, mode), {
      open: () => this.#disk.open(path, 'open'),
      idle: (idle) => this.#onIdle(idle),
      busy: (busy) => void this.#idle.delete(busy),
      closed: (closed) => this.#onClosed(closed),
    })
    const others = this.#files.get(path)
    if (others === undefined) this.#files.set(path, new Set([file]))
    else others.add(file)
    this.#onIdle(file)
    return file
  }

  exists(path: string): Promise<boolean> {
    return this.#disk.exists(path)
  }

  fullPath(path: string): string {
    return this.#disk.fullPath(path)
  }

  list(directory: string): Promise<readonly string[]> {
    return this.#disk.list(directory)
  }

  makeDirectory(directory: string): Promise<void> {
    return this.#disk.makeDirectory(directory)
  }

  async remove(path: string): Promise<void> {
    for (const file of this.#files.get(path) ?? []) await file.keepOpen()
    await this.#disk.remove(path)
  }

  removeDirectory(directory: string): Promise<void> {
    return this.#disk.removeDirectory(directory)
  }

  async rename(from: string, to: string): Promise<void> {
    for (const path of [from, to]) for (const file of this.#files.get(path) ?? []) await file.keepOpen()
    await this.#disk.rename(from, to)
  }

  syncDirectory(directory: string): Promise<void> {
    return this.#disk.syncDirectory(directory)
  }

  free(): Promise<number> {
    return this.#disk.free()
  }

  #onIdle(file: BoundedFile): void {
    this.#idle.add(file)
    if (this.#idle.size <= this.#idleMax) return
    const [longest] = this.#idle
    assert(longest !== undefined, 'a set that is too large has a first')
    this.#idle.delete(longest)
    longest.rest()
  }

  #onClosed(file: BoundedFile): void {
    this.#idle.delete(file)
    const others = this.#files.get(file.path)
    others?.delete(file)
    if (others?.size === 0) this.#files.delete(file.path)
  }
}

interface FileOwner {
  open(): Promise<DiskFile>
  /** Nothing is being done with the file, and it may be closed. */
  idle(file: BoundedFile): void
  busy(file: BoundedFile): void
  closed(file: BoundedFile): void
}

class BoundedFile implements DiskFile {
  readonly path: string
  readonly #owner: FileOwner
  /** Undefined while it rests. */
  #handle: Promise<DiskFile> | undefined
  /** Of the handle before, that is being closed. */
  #resting: Promise<void> = Promise.resolve()
  #users = 0
  #isDirty = false
  #staysOpen = false
  #isClosed = false

  constructor(path: string, handle: DiskFile, owner: FileOwner) {
    this.path = path
    this.#handle = Promise.resolve(handle)
    this.#owner = owner
  }

  size(): Promise<number> {
    return this.#use((file) => file.size())
  }

  read(offset: number, length: number): Promise<Buffer> {
    return this.#use((file) => file.read(offset, length))
  }

  write(offset: number, buffers: readonly Buffer[]): Promise<void> {
    this.#isDirty = true
    return this.#use((file) => file.write(offset, buffers))
  }

  /** A write that is under way meanwhile is not covered, so the file stays open unless this was the only thing done with it. */
  sync(): Promise<void> {
    return this.#use(async (file) => {
      await file.sync()
      if (this.#users === 1) this.#isDirty = false
    })
  }

  truncate(size: number): Promise<void> {
    this.#isDirty = true
    return this.#use((file) => file.truncate(size))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#owner.closed(this)
    const handle = this.#handle
    this.#handle = undefined
    await this.#resting
    await (await handle)?.close()
  }

  /** From now on the file can't be opened again by its name. */
  async keepOpen(): Promise<void> {
    this.#staysOpen = true
    await this.#use(async () => undefined)
  }

  /** Closes the handle, with which nothing is being done. What fails has no effect on what was synced. */
  rest(): void {
    const handle = this.#handle
    this.#handle = undefined
    this.#resting = this.#resting.then(async () => (await handle)?.close()).catch(() => undefined)
  }

  async #use<Result>(work: (file: DiskFile) => Promise<Result>): Promise<Result> {
    if (this.#isClosed) throw new PlatformError(ERROR_CODES.diskFailed, `${this.path} is closed`)
    this.#users++
    this.#owner.busy(this)
    try {
      this.#handle ??= this.#open()
      return await work(await this.#handle)
    } finally {
      if (--this.#users === 0 && !this.#isDirty && !this.#staysOpen && this.#handle !== undefined) this.#owner.idle(this)
    }
  }

  async #open(): Promise<DiskFile> {
    try {
      await this.#resting
      return await this.#owner.open()
    } catch (error) {
      this.#handle = undefined
      throw error
    }
  }
}
