// SPDX-License-Identifier: Apache-2.0
// The mark of a clean end: a file that says where the log ended when it was closed. While it is there, a log that ends elsewhere is damaged,
// whatever its tail looks like. It is removed, durably, before the first write.
//
//   clean := magic u32 | version u32 | position u64 | chain u32 | crc u32
import { readUint64, writeUint64 } from '#base/bytes'
import { crc32c } from '#base/crc32c'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Disk } from '#base/port/disk'
import type { LogPosition } from './frame.ts'

const MAGIC = 0x524d5143 // 'RMQC'
const VERSION = 1
const BYTES = 24
const CRC_AT = 20

export interface CleanEnd {
  readonly position: LogPosition
  /** The crc that the next frame would have carried as `previous`. */
  readonly chain: number
}

export class CleanEndFile {
  readonly #disk: Disk
  readonly #directory: string
  readonly #path: string
  readonly #newPath: string

  constructor(disk: Disk, directory: string) {
    this.#disk = disk
    this.#directory = directory
    this.#path = `${directory}/clean`
    this.#newPath = `${directory}/clean.new`
  }

  /** Undefined when the last end was not clean. Rejects with dataDamaged when the file is not what was written: it only ever gets its name whole. */
  async read(): Promise<CleanEnd | undefined> {
    if (!(await this.#disk.exists(this.#path))) return undefined
    const file = await this.#disk.open(this.#path, 'open')
    const bytes = await file.read(0, BYTES + 1)
    await file.close()
    if (bytes.length === BYTES && bytes.readUInt32BE(0) === MAGIC && bytes.readUInt32BE(CRC_AT) === crc32c(bytes, 0, 0, CRC_AT)) {
      if (bytes.readUInt32BE(4) !== VERSION)
        throw new PlatformError(
          ERROR_CODES.dataVersion,
          `${this.#disk.fullPath(this.#path)} has format ${bytes.readUInt32BE(4)}; this version reads ${VERSION}`,
        )
      return { position: readUint64(bytes, 8), chain: bytes.readUInt32BE(16) }
    }
    throw new PlatformError(
      ERROR_CODES.dataDamaged,
      `${this.#disk.fullPath(this.#path)}, which says where the log ended, is damaged. Check the disk. Remove the file to accept the log as far as its own checksums vouch for it.`,
      { detail: { path: this.#disk.fullPath(this.#path) } },
    )
  }

  /** Writes it, durably. */
  async write({ position, chain }: CleanEnd): Promise<void> {
    const bytes = Buffer.alloc(BYTES)
    bytes.writeUInt32BE(MAGIC, 0)
    bytes.writeUInt32BE(VERSION, 4)
    writeUint64(bytes, position, 8)
    bytes.writeUInt32BE(chain, 16)
    bytes.writeUInt32BE(crc32c(bytes, 0, 0, CRC_AT), CRC_AT)
    if (await this.#disk.exists(this.#newPath)) await this.#disk.remove(this.#newPath)
    const file = await this.#disk.open(this.#newPath, 'create')
    await file.write(0, [bytes])
    await file.sync()
    await file.close()
    await this.#disk.rename(this.#newPath, this.#path)
    await this.#disk.syncDirectory(this.#directory)
  }

  /** Removes it, durably. */
  async remove(): Promise<void> {
    await this.#disk.remove(this.#path)
    await this.#disk.syncDirectory(this.#directory)
  }
}
