// SPDX-License-Identifier: Apache-2.0
// Files. What a crash may do to unsynced bytes and names is in RELIABILITY T18; the simulator does exactly that.

export interface DiskFile {
  readonly path: string
  /** Size in bytes, counting unsynced writes. */
  size(): Promise<number>
  /** Reads up to `length` bytes at `offset`; shorter only at the end of the file. */
  read(offset: number, length: number): Promise<Buffer>
  /** Writes the buffers one after the other at `offset`, all of them or it rejects. Not durable until `sync`. The buffers must not change meanwhile. */
  write(offset: number, buffers: readonly Buffer[]): Promise<void>
  /** Makes data and size durable. After a rejection the state of all unsynced bytes is unknown (RELIABILITY R48). */
  sync(): Promise<void>
  truncate(size: number): Promise<void>
  close(): Promise<void>
}

/** Rejects with PlatformError diskFull, diskFailed or notFound. Paths use '/', relative to the data directory. */
export interface Disk {
  /** Opens for reading and writing. 'create' fails when the file exists, 'open' when it does not. */
  open(path: string, mode: 'create' | 'open'): Promise<DiskFile>
  exists(path: string): Promise<boolean>
  /** What the path is outside of the data directory: the name that an operator looks for, for messages only. */
  fullPath(path: string): string
  /** Names in a directory, sorted. Empty when there is no such directory. */
  list(directory: string): Promise<readonly string[]>
  /** Creates the directory and its parents, durably. */
  makeDirectory(directory: string): Promise<void>
  remove(path: string): Promise<void>
  /** Removes a directory in which nothing is left, names that were removed durably included. It may be back, empty, after a power loss. */
  removeDirectory(directory: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Makes created, renamed and removed names of the directory durable. */
  syncDirectory(directory: string): Promise<void>
  /** Bytes that can still be written. */
  free(): Promise<number>
}
