// SPDX-License-Identifier: Apache-2.0
// Reads of a group's state in the store of this node. A snapshot replaces that state piece by piece: what was read meanwhile is a part of it, and
// is not handed out, but read again when the state is whole (R41).
import type { Kv, KvPair, KvRange } from '#base/port/kv'
import type { AppliedSignal } from '../applied-signal.ts'

export type StateReads = Pick<Kv, 'get' | 'getMany' | 'scan'>

export class ReplicaReads implements StateReads {
  readonly #kv: Kv
  readonly #signal: AppliedSignal

  constructor(kv: Kv, signal: AppliedSignal) {
    this.#kv = kv
    this.#signal = signal
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return this.whole((kv) => kv.get(key))
  }

  getMany(keys: readonly Buffer[]): Promise<readonly (Buffer | undefined)[]> {
    return this.whole((kv) => kv.getMany(keys))
  }

  scan(range: KvRange): Promise<readonly KvPair[]> {
    return this.whole((kv) => kv.scan(range))
  }

  /** What `read` gives while nothing replaces the state. It may be called more than once. */
  async whole<T>(read: (kv: Kv) => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#signal.isReplacing) await this.#replaced()
      const { replacements } = this.#signal
      const found = await read(this.#kv)
      if (this.#signal.replacements === replacements) return found
    }
  }

  #replaced(): Promise<void> {
    return new Promise((resolve) => {
      const stopListening = this.#signal.listen(() => {
        if (this.#signal.isReplacing) return
        stopListening()
        resolve()
      })
    })
  }
}
