// SPDX-License-Identifier: Apache-2.0
// The hand-over of leadership to a chosen voter (R37): proposals stop, it is brought up to date, and told to campaign at once. If it does not take
// over within an election timeout, everything goes on as before.
import { NODE_NONE, type NodeId } from './message.ts'

export class Transfer {
  #to: NodeId = NODE_NONE
  #elapsedTicks = 0

  /** NODE_NONE while leadership is not being handed over. */
  get to(): NodeId {
    return this.#to
  }

  get isUnderWay(): boolean {
    return this.#to !== NODE_NONE
  }

  start(to: NodeId): void {
    this.#to = to
    this.#elapsedTicks = 0
  }

  end(): void {
    this.#to = NODE_NONE
  }

  /** Gives up after `ticksMax`. */
  tick(ticksMax: number): void {
    if (this.isUnderWay && ++this.#elapsedTicks >= ticksMax) this.end()
  }
}
