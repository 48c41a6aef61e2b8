// SPDX-License-Identifier: Apache-2.0
// The part of level-rocksdb 5.0.0 and of the binding it wraps (rocksdb 5.2.1) that rocksdb-kv.ts uses. Neither ships types.

declare module 'level-rocksdb' {
  namespace open {
    export interface OpenOptions {
      /** Bytes of the block cache. */
      readonly cacheSize: number
      /** Bytes of a memtable. */
      readonly writeBufferSize: number
      readonly compression: boolean
    }

    export interface RangeOptions {
      readonly gte: Buffer
      readonly lt: Buffer
      readonly reverse: boolean
      readonly limit: number
      /** Bytes that one fetch brings into `cache`. */
      readonly highWaterMark: number
    }

    export type Done = (error: Error | null | undefined) => void

    export interface HandleIterator {
      /** Pairs already fetched, in reverse order: pop gives a key, then its value. Null before the first fetch. */
      readonly cache: Buffer[] | null
      /** The end came with the last page: `next` does not ask the binding any more. */
      finished: boolean
      /** At the end it calls back without a key. */
      next(callback: (error: Error | null | undefined, key?: Buffer, value?: Buffer) => void): void
      end(callback: Done): void
    }

    export interface Operation {
      readonly type: 'put' | 'del'
      readonly key: Buffer
      readonly value: Buffer | undefined
    }

    /** The binding itself, without encodings. */
    export interface Handle {
      get(key: Buffer, callback: (error: Error | null | undefined, value: Buffer) => void): void
      getMany(keys: readonly Buffer[], callback: (error: Error | null | undefined, values: (Buffer | null | undefined)[]) => void): void
      /** The batch without the copy that `batch` makes of every operation. */
      _batch(operations: readonly Operation[], options: { readonly sync: boolean }, callback: Done): void
      iterator(options: RangeOptions): HandleIterator
    }

    export interface Database {
      readonly _db: { readonly db: Handle }
      close(callback: Done): void
    }
  }

  function open(location: string, options: open.OpenOptions, callback: open.Done): open.Database
  export = open
}
