// SPDX-License-Identifier: Apache-2.0
// The index files beside the segments. One gets its name when it is durable, so what has a name was whole once; and all of them may be removed.
import type { Disk } from '#base/port/disk'
import { type LogPosition, segmentName } from './frame.ts'
import type { Segment } from './segment.ts'

const INDEX_NAME = /^\d{20}\.index$/

/** Name of the index of a segment. */
const indexName = (base: LogPosition): string => segmentName(base).replace(/log$/, 'index')

export class IndexFiles {
  readonly #disk: Disk
  readonly #directory: string
  readonly #newPath: string

  constructor(disk: Disk, directory: string) {
    this.#disk = disk
    this.#directory = directory
    this.#newPath = `${directory}/index.new`
  }

  /** Opens the index of a segment, if there is one, and returns its bytes. */
  async open(segment: Segment): Promise<Buffer | undefined> {
    if (!(await this.#disk.exists(segment.indexPath))) return undefined
    segment.index = await this.#disk.open(segment.indexPath, 'open')
    segment.indexSize = await segment.index.size()
    return await segment.index.read(0, segment.indexSize)
  }

  /** Gives a segment its index. The name need not be durable: an index that is missing is made again. */
  async write(segment: Segment, bytes: Buffer): Promise<void> {
    await this.#removeIfThere(this.#newPath)
    const file = await this.#disk.open(this.#newPath, 'create')
    await file.write(0, [bytes])
    await file.sync()
    await this.#disk.rename(this.#newPath, segment.indexPath)
    await segment.index?.close()
    segment.index = file
    segment.indexSize = bytes.length
  }

  remove({ indexPath }: Segment): Promise<void> {
    return this.#removeIfThere(indexPath)
  }

  /** Removes the indexes of all other segments, and what a process that ended has left of a new one. */
  async removeOthers(segments: readonly Segment[]): Promise<void> {
    const names = new Set(segments.map(({ base }) => indexName(base)))
    for (const name of await this.#disk.list(this.#directory)) {
      if (INDEX_NAME.test(name) && !names.has(name)) await this.#disk.remove(`${this.#directory}/${name}`)
    }
    await this.#removeIfThere(this.#newPath)
  }

  async #removeIfThere(path: string): Promise<void> {
    if (await this.#disk.exists(path)) await this.#disk.remove(path)
  }
}
