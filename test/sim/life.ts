// SPDX-License-Identifier: Apache-2.0
// One incarnation of a simulated process. Every port instance belongs to one: when it ends, nothing of it acts again.

export class Life {
  readonly node: number
  readonly incarnation: number
  #alive = true
  #pausedUntilUs = 0

  constructor(node: number, incarnation: number) {
    this.node = node
    this.incarnation = incarnation
  }

  get alive(): boolean {
    return this.#alive
  }

  /** Virtual time until which the process stands still: its events wait. 0 when it runs, infinite until it is resumed. */
  get pausedUntilUs(): number {
    return this.#pausedUntilUs
  }

  end(): void {
    this.#alive = false
  }

  pauseUntil(timeUs: number): void {
    this.#pausedUntilUs = timeUs
  }

  /** The promise as this incarnation sees it: it stays pending for ever once the incarnation has ended. */
  guard<T>(operation: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      operation.then(
        (value) => {
          if (this.#alive) resolve(value)
        },
        (error: unknown) => {
          if (this.#alive) reject(error)
        },
      )
    })
  }
}

/** Pending for ever: what a dead incarnation's calls return. */
export const never = <T>(): Promise<T> => new Promise<T>(() => {})
