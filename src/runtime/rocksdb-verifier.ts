// SPDX-License-Identifier: Apache-2.0
// Judges the pairs that a verification reads: what is damaged is noted, and the process goes on, since nobody has asked for the value.
import type { KvVerification } from '#base/port/kv'
import { storeError } from './rocksdb-error.ts'
import type { PairJudge } from './rocksdb-iterator.ts'
import { unsealValue } from './rocksdb-value.ts'

export class PairVerifier implements PairJudge {
  readonly #directory: string
  readonly #damaged: Buffer[] = []
  #bytes = 0
  #last: Buffer | undefined

  constructor(directory: string) {
    this.#directory = directory
  }

  unseal(key: Buffer, stored: Buffer): Buffer {
    this.#bytes += key.length + stored.length
    this.#last = key
    if (unsealValue(key, stored) === undefined) this.#damaged.push(Buffer.from(key))
    return stored
  }

  error(tried: string, cause: Error): Error {
    return storeError(this.#directory, tried, cause)
  }

  /** `last`: the key behind which there may be more. */
  result(last: Buffer | undefined): KvVerification {
    return { bytes: this.#bytes, next: last && after(last), damaged: this.#damaged }
  }

  /** The store itself could not read on. `from`: where the range begins. */
  cutShort(from: Buffer): KvVerification {
    const at = this.#last === undefined ? from : after(this.#last)
    return { bytes: this.#bytes, next: undefined, damaged: [...this.#damaged, at] }
  }
}

const after = (key: Buffer): Buffer => Buffer.concat([key, Buffer.alloc(1)])
