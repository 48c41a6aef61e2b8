// SPDX-License-Identifier: Apache-2.0
// The stored form of an independent log. Storage type and topic are in its key.
//
//   log := 1-u8 id-u32 created-at-ms-u64
import { must } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { StorageType } from '#contract/client/engine-client'
import { FieldReader } from './field-reader.ts'
import { FieldWriter } from './field-writer.ts'

const VERSION = 1

/** Numbers are part of the format: append only. */
const STORAGE_NUMBER: Readonly<Record<StorageType, number>> = { memory: 1, rocksdb: 2, segment: 3 }
const STORAGES: ReadonlyMap<number, StorageType> = new Map([
  [STORAGE_NUMBER.memory, 'memory'],
  [STORAGE_NUMBER.rocksdb, 'rocksdb'],
  [STORAGE_NUMBER.segment, 'segment'],
])

export interface StoredCatalogueLog {
  readonly id: number
  readonly createdAtMs: number
}

export const storageNumber = (storage: StorageType): number => must(STORAGE_NUMBER[storage], 'every storage type has a number')

/** Throws dataVersion. */
export function storageOf(number: number): StorageType {
  const storage = STORAGES.get(number)
  if (storage === undefined)
    throw new PlatformError(
      ERROR_CODES.dataVersion,
      `a log has storage type ${number}, which this version does not know; run a newer program`,
    )
  return storage
}

export const encodeCatalogueLog = ({ id, createdAtMs }: StoredCatalogueLog): Buffer =>
  new FieldWriter(VERSION, 16).uint32(id).uint64(createdAtMs).take()

export function decodeCatalogueLog(bytes: Buffer): StoredCatalogueLog {
  const reader = new FieldReader(bytes, VERSION, 'a stored log of the catalogue')
  const log = { id: reader.uint32(), createdAtMs: reader.uint64() }
  reader.end()
  return log
}
