// SPDX-License-Identifier: Apache-2.0
// Checks the blocks of RocksDB's tables against their checksums before a store is used.
//
// The binding opens iterators with `verify_checksums = false`. A damaged value is found by its own checksum (rocksdb-value.ts), but a damaged key is not:
// it leaves the range that is read, with up to fifteen that share its beginning, and nobody misses them. A compaction that meets such a block would
// fail for ever and hold back all writes. So the blocks are read once at the start.
//
//   table  := block* , with the index among the last, then the footer
//   block  := contents | compression u8 (0 none, 1 snappy) | masked CRC-32C of both u32 LE; a handle counts the contents only
//   footer := checksum type u8 (1 CRC-32C) | metaindex handle | index handle | zeros, 41 bytes up to here | version u32 LE | magic u64 LE
//   index  := (0 | key length | key | handle)* | restarts; before version 4 the length of the handle is before the key. All numbers are varints.
import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import * as path from 'node:path'
import { crc32c } from '#base/crc32c'
import { storeDamaged } from './rocksdb-error.ts'

/** A start reads no more than this, newest tables first; later ones are read by compactions, which verify. Takes about 3 s from a fast disk. */
const CHECKED_BYTES_MAX = 1024 * 1024 * 1024
const READ_BYTES = 1024 * 1024
const FOOTER_BYTES = 53
const HANDLES_AT = 1
const VERSION_AT = 41
const MAGIC_AT = 45
const MAGIC = 0x88e241b785f4cff7n
const CHECKSUM_CRC32C = 1
const TRAILER_BYTES = 5
const SNAPPY = 1
/** From this version on, index entries have no length of their value. */
const VERSION_BARE_HANDLES = 4

interface BlockHandle {
  readonly offset: number
  readonly size: number
}

/** Names of the tables in a directory, newest first. */
export async function listTables(directory: string): Promise<readonly string[]> {
  const names = await readdir(directory).catch((): readonly string[] => [])
  return names
    .filter((name) => name.endsWith('.sst'))
    .sort()
    .reverse()
}

/**
 * `names` are the tables that were there before the store was opened: those that are left are in use, because RocksDB has removed the others. Rejects
 * with dataDamaged. A table that a compaction takes away meanwhile is passed over.
 */
export async function checkTables(directory: string, names: readonly string[]): Promise<void> {
  let checkedBytes = 0
  for (const name of names) {
    const size = await stat(path.join(directory, name)).then(
      (found) => found.size,
      () => undefined,
    )
    if (size === undefined) continue
    checkedBytes += size
    if (checkedBytes > CHECKED_BYTES_MAX) return
    await checkTable(directory, name, size)
  }
}

async function checkTable(directory: string, name: string, size: number): Promise<void> {
  const file = await open(path.join(directory, name), 'r').catch(() => undefined)
  if (file === undefined) return
  try {
    const found = await findDamage(file, size)
    if (found !== undefined) throw storeDamaged(directory, `${name}: ${found}`)
  } finally {
    await file.close()
  }
}

/** What is wrong with a table, or undefined. Of a table of another format nothing is said. */
async function findDamage(file: FileHandle, size: number): Promise<string | undefined> {
  if (size < FOOTER_BYTES) return 'the file is too short for a table'
  const footer = await readAt(file, size - FOOTER_BYTES, FOOTER_BYTES)
  if (footer === undefined || footer.readBigUInt64LE(MAGIC_AT) !== MAGIC) return 'the footer is damaged'
  if (footer[0] !== CHECKSUM_CRC32C) return undefined
  const reader = new VarintReader(footer, HANDLES_AT, VERSION_AT)
  reader.handle()
  const handle = reader.handle()
  if (handle === undefined || !fits(handle, size)) return 'the footer is damaged'
  const block = await readAt(file, handle.offset, handle.size + TRAILER_BYTES)
  if (block === undefined || !isSound(block, 0, handle.size)) return `the index at byte ${handle.offset} does not match its checksum`
  const index = contentsOf(block, handle.size)
  const handles = index && handlesIn(index, footer.readUInt32LE(VERSION_AT) >= VERSION_BARE_HANDLES)
  return handles && (await findDamagedBlock(file, size, handles))
}

async function findDamagedBlock(file: FileHandle, size: number, handles: readonly BlockHandle[]): Promise<string | undefined> {
  for (let at = 0; at < handles.length; ) {
    const start = handles[at]!.offset
    let end = start
    let next = at
    for (; next < handles.length && (next === at || end - start < READ_BYTES); next++) {
      const handle = handles[next]!
      if (!fits(handle, size) || handle.offset < end) return `the index names a block at byte ${handle.offset} that cannot be there`
      end = handle.offset + handle.size + TRAILER_BYTES
    }
    const bytes = await readAt(file, start, end - start)
    for (; at < next; at++) {
      const { offset, size: length } = handles[at]!
      if (bytes === undefined || !isSound(bytes, offset - start, length)) return `the block at byte ${offset} does not match its checksum`
    }
  }
  return undefined
}

const fits = ({ offset, size: length }: BlockHandle, size: number): boolean => offset + length + TRAILER_BYTES <= size - FOOTER_BYTES

async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer | undefined> {
  const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(length), 0, length, offset)
  return bytesRead === length ? buffer : undefined
}

function isSound(bytes: Buffer, start: number, length: number): boolean {
  const crc = crc32c(bytes, 0, start, start + length + 1)
  const masked = (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
  return bytes.readUInt32LE(start + length + 1) === masked
}

/** Undefined for a compression that is not known here. */
function contentsOf(block: Buffer, size: number): Buffer | undefined {
  if (block[size] === 0) return block.subarray(0, size)
  return block[size] === SNAPPY ? decompress(block.subarray(0, size)) : undefined
}

/** The blocks of data, in their order. Undefined when the index is laid out in a way that is not known here. */
function handlesIn(index: Buffer, bare: boolean): readonly BlockHandle[] | undefined {
  const end = index.length - 4 - 4 * index.readUInt32LE(index.length - 4)
  const reader = new VarintReader(index, 0, end)
  const handles: BlockHandle[] = []
  while (reader.at < end) {
    const shared = reader.number()
    const keyBytes = reader.number()
    if (!bare) reader.number()
    if (shared !== 0 || keyBytes === undefined) return undefined
    reader.at += keyBytes
    const handle = reader.handle()
    if (handle === undefined) return undefined
    handles.push(handle)
  }
  return handles
}

class VarintReader {
  readonly #bytes: Buffer
  readonly #end: number
  at: number

  constructor(bytes: Buffer, at: number, end: number) {
    this.#bytes = bytes
    this.at = at
    this.#end = end
  }

  /** Undefined when the bytes end before it does, or it is larger than any size of a file. */
  number(): number | undefined {
    let value = 0
    for (let factor = 1; this.at < this.#end && factor < 2 ** 49; factor *= 128) {
      const byte = this.#bytes[this.at++]!
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
    return undefined
  }

  handle(): BlockHandle | undefined {
    const offset = this.number()
    const size = this.number()
    return offset === undefined || size === undefined ? undefined : { offset, size }
  }
}

/** Snappy's raw format. The input has passed its checksum, so it is what RocksDB wrote. */
function decompress(input: Buffer): Buffer | undefined {
  const reader = new VarintReader(input, 0, input.length)
  const output = Buffer.alloc(reader.number() ?? 0)
  let to = 0
  for (let at = reader.at; at < input.length; ) {
    const tag = input[at++]!
    if ((tag & 3) === 0) {
      let length = tag >>> 2
      if (length >= 60) {
        const bytes = length - 59
        length = input.readUIntLE(at, bytes)
        at += bytes
      }
      to += input.copy(output, to, at, at + length + 1)
      at += length + 1
      continue
    }
    const near = (tag & 3) === 1
    const bytes = near ? 1 : (tag & 3) === 2 ? 2 : 4
    const back = input.readUIntLE(at, bytes) + (near ? (tag >>> 5) << 8 : 0)
    at += bytes
    const length = near ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1
    // A copy may overlap what it writes.
    for (let copied = 0; copied < length; copied++, to++) output[to] = output[to - back]!
  }
  return to === output.length ? output : undefined
}
