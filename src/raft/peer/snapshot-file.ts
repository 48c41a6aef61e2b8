// SPDX-License-Identifier: Apache-2.0
// A received snapshot on disk, until its state is installed.
//
//   file   := record*, end
//   record := length u32 | crc u32 | bytes          the first one is the header of the snapshot, the others its chunks
//   end    := 0 u32 | crc u32                       of all record headers before it: a file that lacks it was not received whole
//
// Integers are big-endian. A file is named for its group and for what is decided about it: `.part` is being received, `.install` replaces the
// state of the group, if need be again after a crash (R41).
import { assert } from '#base/assert'
import { crc32c } from '#base/crc32c'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Disk, DiskFile } from '#base/port/disk'

const HEADER_BYTES = 8
const CHUNK_BYTES_MAX = 16 * 1024 * 1024

/** Writes the file whole and durably. On failure of the chunks it is left incomplete. Resolves with its size in bytes. */
export async function writeSnapshotFile(disk: Disk, path: string, header: Buffer, chunks: AsyncIterable<Buffer>): Promise<number> {
  if (await disk.exists(path)) await disk.remove(path)
  const file = await disk.open(path, 'create')
  try {
    const writer = new RecordWriter(file)
    await writer.append(header)
    for await (const chunk of chunks) await writer.append(chunk)
    await writer.end()
    await file.sync()
    return writer.position
  } finally {
    await file.close()
  }
}

/** The header, and the chunks to be read once. The iteration throws dataDamaged where bytes are not what was written. */
export async function readSnapshotFile(
  disk: Disk,
  path: string,
): Promise<{ readonly header: Buffer; readonly chunks: AsyncIterable<Buffer> }> {
  const file = await disk.open(path, 'open')
  const records = readRecords(file, disk.fullPath(path))
  const first = await records.next()
  if (first.done === true) {
    await file.close()
    throw damaged(disk.fullPath(path))
  }
  return { header: first.value, chunks: records }
}

class RecordWriter {
  readonly #file: DiskFile
  #position = 0
  #chain = 0

  constructor(file: DiskFile) {
    this.#file = file
  }

  get position(): number {
    return this.#position
  }

  async append(bytes: Buffer): Promise<void> {
    if (bytes.length === 0) return
    assert(bytes.length <= CHUNK_BYTES_MAX, 'the chunks of a snapshot are small')
    const header = Buffer.alloc(HEADER_BYTES)
    header.writeUInt32BE(bytes.length, 0)
    header.writeUInt32BE(crc32c(bytes), 4)
    this.#chain = crc32c(header, this.#chain)
    await this.#write([header, bytes])
  }

  async end(): Promise<void> {
    const end = Buffer.alloc(HEADER_BYTES)
    end.writeUInt32BE(this.#chain, 4)
    await this.#write([end])
  }

  async #write(buffers: readonly Buffer[]): Promise<void> {
    await this.#file.write(this.#position, buffers)
    for (const { length } of buffers) this.#position += length
  }
}

async function* readRecords(file: DiskFile, name: string): AsyncGenerator<Buffer, void> {
  try {
    let chain = 0
    for (let position = 0; ; ) {
      const header = await file.read(position, HEADER_BYTES)
      if (header.length < HEADER_BYTES) throw damaged(name)
      const length = header.readUInt32BE(0)
      if (length === 0) {
        if (header.readUInt32BE(4) !== chain) throw damaged(name)
        return
      }
      if (length > CHUNK_BYTES_MAX) throw damaged(name)
      const bytes = await file.read(position + HEADER_BYTES, length)
      if (bytes.length < length || crc32c(bytes) !== header.readUInt32BE(4)) throw damaged(name)
      chain = crc32c(header, chain)
      position += HEADER_BYTES + length
      yield bytes
    }
  } finally {
    await file.close()
  }
}

const damaged = (name: string): PlatformError =>
  new PlatformError(
    ERROR_CODES.dataDamaged,
    `the snapshot ${name} is not as it was received. Remove this node from its cluster and join it again with an empty data directory.`,
  )
