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
import { CHAIN_RANGE, chainKey, chainNumberOf, RESERVED_PREFIX } from './rocksdb-writer.ts'

const FORMAT = 1
const FORMAT_KEY = Buffer.concat([RESERVED_PREFIX, Buffer.from('format')])
const FIRST_NUMBER = 1
const FETCH_BYTES = 4096

/** Where CURRENT is missing, RocksDB would create an empty store and delete the files of the old one. */
export async function requireFiles(directory: string): Promise<void> {
  const names = await readdir(directory).catch(() => [])
  if (names.includes('CURRENT')) return
  for (const name of names) {
    // A first start that was interrupted leaves neither tables nor records in a log.
    if (!/\.(sst|log)$/.test(name) || (await stat(path.join(directory, name))).size === 0) continue
    throw storeDamaged(directory, `the file CURRENT is missing, but there is ${name}`)
  }
}

/** The number of the last write. A new store is marked with the format. Rejects with dataDamaged, dataVersion, diskFull or diskFailed. */
export async function restoreChain(directory: string, handle: level.Handle): Promise<number> {
  const links = await firstPairs(directory, handle, { ...CHAIN_RANGE, limit: 2 })
  const [format] = await firstPairs(directory, handle, { gte: FORMAT_KEY, lt: CHAIN_END, limit: 1 })
  const [link] = links
  if (link === undefined) return createChain(directory, handle)
  if (links.length > 1) {
    const numbers = links.map(({ key }) => chainNumberOf(key))
    throw storeDamaged(directory, `writes after number ${numbers[0]} are gone from its log, while later ones are there`)
  }
  if (format === undefined) throw storeDamaged(directory, 'its first write is gone')
  const version = unsealValue(format.key, format.value)?.readUInt32BE()
  if (version === undefined) throw storeDamaged(directory, 'the mark of its format does not match its checksum')
  if (version !== FORMAT) throw wrongVersion(directory, `has format ${version}`)
  return chainNumberOf(link.key)
}
