// SPDX-License-Identifier: Apache-2.0
// The chunks in which reads have stopped. A reader that goes on where it stopped need not look its chunk up: that is a search in the store for each page.
import type { Position } from '#contract/client/engine-client'
import type { Chunk } from './key-layout.ts'

/** Readers of one log that go on at the same time, about. */
const CHUNKS_MAX = 16

/** What it tells of a chunk may be old: records in it may have been removed since. Where it begins and ends does not change. */
export class RecentChunks {
  readonly #chunks: Chunk[] = []
  #next = 0

  add(chunk: Chunk): void {
    if (this.at(chunk.base) !== undefined) return
    this.#chunks[this.#next] = chunk
    this.#next = (this.#next + 1) % CHUNKS_MAX
  }

  at(position: Position): Chunk | undefined {
    for (const chunk of this.#chunks) if (chunk.base <= position && position < chunk.end) return chunk
    return undefined
  }
}
