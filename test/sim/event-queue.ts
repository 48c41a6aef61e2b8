// SPDX-License-Identifier: Apache-2.0
// The future of a world: a binary heap of events by virtual time.
import { must } from '#base/assert'
import type { Life } from './life.ts'

/** What an event is; its name enters the trace. */
export type EventKind = 'timer' | 'turn' | 'kv' | 'disk' | 'hash' | 'network' | 'client' | 'fault' | 'check'

/** Among events of one instant, the end of a loop turn comes after all input. */
export type EventRank = 0 | 1

export interface WorldEvent {
  timeUs: number
  readonly rank: EventRank
  /** Drawn by seed: decides among events of one instant and rank. */
  readonly tie: number
  /** Unique; decides when all else is equal. */
  readonly sequence: number
  readonly kind: EventKind
  /** The event is dropped once this incarnation has ended. Undefined for the world's own events. */
  readonly life: Life | undefined
  /** Undefined once cancelled. */
  run: (() => void) | undefined
}

export class EventQueue {
  readonly #heap: WorldEvent[] = []

  get size(): number {
    return this.#heap.length
  }

  push(event: WorldEvent): void {
    const heap = this.#heap
    let at = heap.push(event) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent] as WorldEvent
      if (!before(event, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = event
  }

  pop(): WorldEvent | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      const right = heap[child + 1]
      if (right !== undefined && before(right, must(heap[child], 'a right child has a left sibling'))) child++
      const below = heap[child] as WorldEvent
      if (!before(below, last)) break
      heap[at] = below
      at = child
    }
    heap[at] = last
    return first
  }
}

function before(a: WorldEvent, b: WorldEvent): boolean {
  if (a.timeUs !== b.timeUs) return a.timeUs < b.timeUs
  if (a.rank !== b.rank) return a.rank < b.rank
  if (a.tie !== b.tie) return a.tie < b.tie
  return a.sequence < b.sequence
}
