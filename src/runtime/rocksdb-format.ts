// SPDX-License-Identifier: Apache-2.0
// What is checked of a store before it is used: that its files are there, that it is of this format, and that no write in it is gone.
//
// Below the reserved prefix are owners' keys. Under it: `format`, u32, written by the first write of a store and never changed, and the chain. Both carry
// the checksum of all values. A change of any of this takes another number, and reads the mark as it is here.
import { readdir, stat } from 'node:fs/promises'
import * as path from 'node:path'
import type level from 'level-rocksdb'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { storeDamaged, storeError } from './rocksdb-error.ts'
import { sealValue, unsealValue } from './rocksdb-value.ts'
import { CHAIN_RANGE, chainKey, chainNumberOf, linkOperation, RESERVED_PREFIX } from './rocksdb-writer.ts'

const FORMAT = 1
const FORMAT_KEY = Buffer.concat([RESERVED_PREFIX, Buffer.from('format')])
const FIRST_NUMBER = 1
/** The binding takes an empty bound for no bound. */
const OWNED_RANGE: KeyRange = { gte: Buffer.alloc(0), lt: RESERVED_PREFIX }
const FETCH_BYTES = 4096

type KeyRange = Pick<level.RangeOptions, 'gte' | 'lt'>

/** Where CURRENT is missing, RocksDB would create an empty store and delete the files of the old one. */
export async function requireFiles(directory: string): Promise<void> {
  const names = await readdir(directory).catch((): readonly string[] => [])
  if (names.includes('CURRENT')) return
  for (const name of names) {
    // A first start that was interrupted leaves neither tables nor records in a log.
    if (!/\.(sst|log)$/.test(name) || (await stat(path.join(directory, name))).size === 0) continue
    throw storeDamaged(directory, `the file CURRENT is missing, but there is ${name}`)
  }
}

/** The number of the last write. A new store is marked with the format. Rejects with dataDamaged, dataVersion, diskFull or diskFailed. */
export async function restoreChain(directory: string, handle: level.Handle): Promise<number> {
  const links = await firstKeys(directory, handle, CHAIN_RANGE, 2)
  const format = await readFormat(directory, handle)
  const [link, later] = links
  if (link === undefined) {
    if (format !== undefined) throw storeDamaged(directory, 'all writes after its first are gone')
    const [owned] = await firstKeys(directory, handle, OWNED_RANGE, 1)
    if (owned !== undefined) throw unknownVersion(directory, 'has no mark of its format')
    return createStore(directory, handle)
  }
  if (later !== undefined) {
    throw storeDamaged(directory, `writes after number ${chainNumberOf(link)} are gone, though ${chainNumberOf(later)} is there`)
  }
  if (format === undefined) throw storeDamaged(directory, 'its first write is gone')
  if (format !== FORMAT) throw unknownVersion(directory, `has format ${format}, and this version reads ${FORMAT}`)
  return chainNumberOf(link)
}

async function createStore(directory: string, handle: level.Handle): Promise<number> {
  const mark = Buffer.alloc(4)
  mark.writeUInt32BE(FORMAT)
  const operations = [{ type: 'put', key: FORMAT_KEY, value: sealValue(FORMAT_KEY, mark) }, linkOperation(chainKey(FIRST_NUMBER))] as const
  await new Promise<void>((resolve, reject) => {
    handle._batch(operations, { sync: true }, (error) => (error ? reject(storeError(directory, 'write', error)) : resolve()))
  })
  return FIRST_NUMBER
}

async function readFormat(directory: string, handle: level.Handle): Promise<number | undefined> {
  const [found] = await firstKeys(directory, handle, { gte: FORMAT_KEY, lt: Buffer.concat([FORMAT_KEY, Buffer.alloc(1)]) }, 1)
  if (found === undefined) return undefined
  const stored = await new Promise<Buffer>((resolve, reject) => {
    handle.get(FORMAT_KEY, (error, value) => (error ? reject(storeError(directory, 'read', error)) : resolve(value)))
  })
  const mark = unsealValue(FORMAT_KEY, stored)
  if (mark === undefined) throw storeDamaged(directory, 'the mark of its format does not match its checksum')
  return mark.readUInt32BE()
}

/** The first keys of a range, at most `count`. */
async function firstKeys(directory: string, handle: level.Handle, range: KeyRange, count: number): Promise<readonly Buffer[]> {
  const iterator = handle.iterator({ ...range, reverse: false, limit: count, highWaterMark: FETCH_BYTES })
  const keys: Buffer[] = []
  try {
    for (let key = await nextKey(directory, iterator); key !== undefined; key = await nextKey(directory, iterator)) keys.push(key)
  } finally {
    await new Promise<void>((resolve) => iterator.end(() => resolve()))
  }
  return keys
}

function nextKey(directory: string, iterator: level.HandleIterator): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    iterator.next((error, key) => (error ? reject(storeError(directory, 'read', error)) : resolve(key)))
  })
}

const unknownVersion = (directory: string, text: string): PlatformError =>
  new PlatformError(
    ERROR_CODES.dataVersion,
    `the store in ${directory} ${text}: start the version of RobustMQ that wrote it, or start a new node with an empty data_path`,
    { detail: { directory } },
  )
