// SPDX-License-Identifier: Apache-2.0
// What happened in a world, as a running hash (T5) and, when recording, as lines for a reader.
import { crc32c } from '#base/crc32c'
import { scramble } from './random.ts'

const LINES_MAX = 20_000

export class Trace {
  /** Lines are kept only when this is set: a failing seed is run again with it. */
  readonly recording: boolean
  #low = 0x811c9dc5 | 0
  #high = 0x9e3779b9 | 0
  readonly #lines: string[] = []
  #next = 0

  constructor(recording: boolean) {
    this.recording = recording
  }

  /** Mixes a number below 2^53 into the hash. */
  mix(value: number): void {
    const low = value | 0
    this.#low = Math.imul(this.#low ^ low, 0x01000193) ^ (this.#low >>> 15)
    this.#high = (Math.imul(this.#high ^ low, 0x5bd1e995) + Math.floor(value / 0x1_0000_0000)) ^ (this.#high >>> 13)
  }

  /** Mixes content into the hash, so that two runs that move different bytes differ at once. */
  mixBytes(bytes: Buffer): void {
    this.mix(bytes.length)
    this.mix(crc32c(bytes))
  }

  mixText(text: string): void {
    for (let at = 0; at < text.length; at++) this.mix(text.charCodeAt(at))
  }

  /** Call only when `recording`, so that no text is built otherwise. */
  line(text: string): void {
    this.#lines[this.#next % LINES_MAX] = text
    this.#next++
  }

  /** The last lines, oldest first. */
  tail(): readonly string[] {
    const at = this.#next % LINES_MAX
    return this.#next <= LINES_MAX ? this.#lines : [...this.#lines.slice(at), ...this.#lines.slice(0, at)]
  }

  /** 16 hexadecimal digits. */
  hash(): string {
    return hex(scramble(this.#high)) + hex(scramble(this.#low))
  }
}

const hex = (value: number): string => (value >>> 0).toString(16).padStart(8, '0')
