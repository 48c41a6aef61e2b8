// SPDX-License-Identifier: Apache-2.0
// The topic of a connection's last PUBLISH. Clients repeat themselves: equal bytes need no second check and no second string.
import { PROBLEM, type ProtocolProblem } from './problem.ts'
import { type TopicLimits, topicProblem } from './text.ts'

/** Longer topics are checked and decoded each time. Bounds what an idle connection keeps. */
const CACHED_SIZE_MAX = 256

const EMPTY = Buffer.alloc(0)

export class TopicCache {
  readonly #limits: TopicLimits
  #bytes: Buffer = EMPTY
  /** Bytes of the cached topic; 0 for none. */
  #size = 0
  /** Made when it is asked for; undefined before. */
  #text: string | undefined

  constructor(limits: TopicLimits) {
    this.#limits = limits
  }

  /** What is wrong with the topic name `bytes[start, end)`. Remembers it when nothing is. */
  check(bytes: Buffer, start: number, end: number): ProtocolProblem | undefined {
    const size = end - start
    if (size === this.#size && this.#holds(bytes, start)) return undefined
    if (size === 0) return PROBLEM.topicEmpty
    const problem = topicProblem(bytes, start, end, this.#limits)
    if (problem !== undefined) return problem
    this.#text = undefined
    this.#size = size > CACHED_SIZE_MAX ? 0 : size
    if (this.#size > this.#bytes.length) this.#bytes = Buffer.allocUnsafeSlow(Math.min(CACHED_SIZE_MAX, Math.max(64, size * 2)))
    bytes.copy(this.#bytes, 0, start, start + this.#size)
    return undefined
  }

  /** The string of the topic that was checked last, which is `bytes[start, end)`. */
  text(bytes: Buffer, start: number, end: number): string {
    if (this.#size === 0) return bytes.toString('utf8', start, end)
    this.#text ??= bytes.toString('utf8', start, end)
    return this.#text
  }

  #holds(bytes: Buffer, start: number): boolean {
    const cached = this.#bytes
    const size = this.#size
    // From the end: topics of one client differ there.
    for (let at = size - 1; at >= 0; at--) if (cached[at] !== bytes[start + at]) return false
    return size > 0
  }
}
