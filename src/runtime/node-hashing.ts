// SPDX-License-Identifier: Apache-2.0
// Hashing by OpenSSL. Slow derivations run in the thread pool, a few at a time, so that synced writes, which run there too, do not wait for them.
import { createHash, createHmac, pbkdf2, scrypt, timingSafeEqual } from 'node:crypto'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { HashDigest, Hashing, ScryptCost } from '#base/port/hashing'

/** Derivations in the thread pool at a time: each occupies a core. */
const RUNNING_MAX = 4

const NO_KEY = Buffer.alloc(0)

type Done = (error: Error | null, key: Buffer) => void
type Derivation = (done: Done) => void

export class NodeHashing implements Hashing {
  readonly #waitingMax: number
  #waiting: (() => void)[] = []
  #running = 0

  /** `waitingMax`: derivations that may wait for their turn. */
  constructor(waitingMax: number) {
    this.#waitingMax = waitingMax
  }

  scrypt(password: Buffer, salt: Buffer, { rounds, blockSize, parallel }: ScryptCost, length: number): Promise<Buffer> {
    // The limit of OpenSSL counts a little more than the 128 * N * r bytes of the specification.
    const options = { N: rounds, r: blockSize, p: parallel, maxmem: 256 * rounds * blockSize }
    return this.#derive((done) => scrypt(password, salt, length, options, done))
  }

  pbkdf2(password: Buffer, salt: Buffer, iterations: number, digest: HashDigest): Promise<Buffer> {
    return this.#derive((done) => pbkdf2(password, salt, iterations, digest === 'sha256' ? 32 : 64, digest, done))
  }

  hmac(digest: HashDigest, key: Buffer, content: Buffer | string): Buffer {
    return createHmac(digest, key).update(content).digest()
  }

  hash(digest: HashDigest, content: Buffer): Buffer {
    return createHash(digest).update(content).digest()
  }

  isEqual(a: Buffer, b: Buffer): boolean {
    return a.length === b.length && timingSafeEqual(a, b)
  }

  #derive(derivation: Derivation): Promise<Buffer> {
    if (this.#running >= RUNNING_MAX && this.#waiting.length >= this.#waitingMax) {
      const detail = { waiting: this.#waiting.length }
      return Promise.reject(
        new PlatformError(ERROR_CODES.quotaExceeded, 'too many passwords wait to be checked; try again later', { detail }),
      )
    }
    return new Promise((resolve, reject) => {
      const done = (error: Error | null, key: Buffer): void => {
        this.#running--
        this.#waiting.shift()?.()
        if (error === null) resolve(key)
        else reject(error)
      }
      const run = (): void => {
        this.#running++
        // Parameters that OpenSSL does not take are thrown back at once.
        try {
          derivation(done)
        } catch (error) {
          done(error as Error, NO_KEY)
        }
      }
      if (this.#running < RUNNING_MAX) run()
      else this.#waiting.push(run)
    })
  }
}
