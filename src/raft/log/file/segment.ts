// SPDX-License-Identifier: Apache-2.0
// One file of the log. It stays open until it is retired and its last reader is gone.
import { must } from '#base/assert'
import type { Disk, DiskFile } from '#base/port/disk'
import { type LogPosition, segmentName } from './frame.ts'

export class Segment {
  readonly base: LogPosition
  readonly path: string
  /** The full path, for messages. */
  readonly fullPath: string
  readonly file: DiskFile
  /** Where its index is, once it is closed. */
  readonly indexPath: string
  /** The index, open as long as the segment is: only a closed segment has one. */
  index: DiskFile | undefined
  /** Bytes of the index. */
  indexSize = 0
  /** Bytes of the file that belong to the log. */
  size: number
  /** Crc of the file header. */
  headerCrc = 0
  /** Crc of its last frame, once it is closed. */
  endCrc = 0
  /** Offset after the opening frame. */
  openingEnd = 0
  #readers = 0
  #retired = false

  constructor(disk: Disk, base: LogPosition, file: DiskFile, size: number) {
    this.base = base
    this.path = file.path
    this.indexPath = file.path.replace(/log$/, 'index')
    this.fullPath = disk.fullPath(file.path)
    this.file = file
    this.size = size
  }

  static async open(disk: Disk, directory: string, base: LogPosition): Promise<Segment> {
    const file = await disk.open(`${directory}/${segmentName(base)}`, 'open')
    return new Segment(disk, base, file, await file.size())
  }

  /** Position after the last byte. */
  get end(): LogPosition {
    return this.base + this.size
  }

  /** Keeps the file open for a reader. Pairs with `unpin`. */
  pin(): void {
    this.#readers++
  }

  async unpin(): Promise<void> {
    if (--this.#readers === 0 && this.#retired) await this.#close()
  }

  /** Closes the file, now or when its last reader is done. */
  async retire(): Promise<void> {
    if (this.#retired) return
    this.#retired = true
    if (this.#readers === 0) await this.#close()
  }

  async #close(): Promise<void> {
    await this.file.close()
    await this.index?.close()
  }
}

/** The segment that holds a position. `segments` are dense and ascending, and the first begins at or before the position. */
export function segmentAt(segments: readonly Segment[], position: LogPosition): Segment {
  let low = 0
  let high = segments.length - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if (segments[middle]!.base <= position) low = middle
    else high = middle - 1
  }
  return must(segments[low], 'an entry that is held is in a segment that is kept')
}
