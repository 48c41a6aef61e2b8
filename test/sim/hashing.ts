// SPDX-License-Identifier: Apache-2.0
// The Hashing port on virtual time. Slow derivations take their time and none of the processor's: one plain hash over all that they depend on
// stands for them.
import { createHash, createHmac } from 'node:crypto'
import type { HashDigest, Hashing, ScryptCost } from '#base/port/hashing'
import { type Life, never } from './life.ts'
import type { SimRandom } from './random.ts'
import type { World } from './world.ts'

/** Mean time of a slow derivation. */
const DERIVATION_MS = 60

export class SimHashing implements Hashing {
  readonly #world: World
  readonly #life: Life
  readonly #random: SimRandom

  constructor(world: World, life: Life, random: SimRandom) {
    this.#world = world
    this.#life = life
    this.#random = random
  }

  scrypt(password: Buffer, salt: Buffer, { rounds, blockSize, parallel }: ScryptCost, length: number): Promise<Buffer> {
    return this.#derive(password, salt, `scrypt ${rounds} ${blockSize} ${parallel}`, length)
  }

  pbkdf2(password: Buffer, salt: Buffer, iterations: number, digest: HashDigest): Promise<Buffer> {
    return this.#derive(password, salt, `pbkdf2 ${iterations} ${digest}`, digest === 'sha256' ? 32 : 64)
  }

  hmac(digest: HashDigest, key: Buffer, content: Buffer | string): Buffer {
    return createHmac(digest, key).update(content).digest()
  }

  hash(digest: HashDigest, content: Buffer): Buffer {
    return createHash(digest).update(content).digest()
  }

  isEqual(a: Buffer, b: Buffer): boolean {
    return a.equals(b)
  }

  #derive(password: Buffer, salt: Buffer, parameters: string, length: number): Promise<Buffer> {
    if (!this.#life.alive) return never()
    const key = createHash('shake256', { outputLength: length })
      .update(createHmac('sha256', salt).update(password).digest())
      .update(parameters)
    return new Promise((resolve) => {
      this.#world.schedule('hash', this.#life, this.#random.delayMs(DERIVATION_MS), () => resolve(key.digest()))
    })
  }
}
