// SPDX-License-Identifier: Apache-2.0
// How far a shared group has got in one log: where it reads on, and which records are with somebody. Pure bookkeeping.
import { assert } from '#base/assert'
import type { Position } from '#contract/client/engine-client'

export class ShareCursor {
  /** Records come as they are committed. If not, they are read from the log, from `next` on. */
  live: boolean
  /** Everything before it was handed out, or is not for the group. While live, records that are not for the group may be between it and the end. */
  next: Position
  /** Handed out and not finished, or to be handed out again. */
  readonly #open: Set<Position>
  /** To be handed out again, ascending. What has been finished since may be among them. */
  #returned: Position[] = []

  constructor(next: Position, open: readonly Position[], live: boolean) {
    this.next = next
    this.live = live
    this.#open = new Set(open)
  }

  get openCount(): number {
    return this.#open.size
  }

  get hasReturned(): boolean {
    return this.#returned.length > 0
  }

  isOpen(position: Position): boolean {
    return this.#open.has(position)
  }

  /** The record at `position` is about to be handed out. */
  begin(position: Position): void {
    this.#open.add(position)
    this.next = position + 1
  }

  /** The record that was just begun was refused. */
  refused(position: Position): void {
    this.#open.delete(position)
    this.next = position
    this.live = false
  }

  finish(position: Position): void {
    this.#open.delete(position)
  }

  handBack(positions: readonly Position[]): void {
    const waiting = new Set(this.#returned)
    for (const position of positions) if (this.#open.has(position)) waiting.add(position)
    this.#returned = [...waiting].sort((a, b) => a - b)
  }

  /** The first records to be handed out again. They stay until `took` names them. */
  returned(count: number): readonly Position[] {
    this.#returned = this.#returned.filter((position) => this.#open.has(position))
    return this.#returned.slice(0, count)
  }

  /** These are with somebody again, or gone. */
  took(positions: ReadonlySet<Position>): void {
    this.#returned = this.#returned.filter((position) => !positions.has(position))
  }

  /** The group has caught up with the log. */
  goLive(end: Position): void {
    assert(this.#returned.length === 0 && this.next >= end, 'a group is fed live when nothing is left to be read')
    this.live = true
  }

  /** Open positions, ascending. */
  open(): readonly Position[] {
    return [...this.#open].sort((a, b) => a - b)
  }
}
