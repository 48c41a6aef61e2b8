// SPDX-License-Identifier: Apache-2.0
// A reader of a watch: quick or slow, and now and then it closes the watch and takes up another one where it stood, perhaps at another node.
import type { KvClient, KvWatch, KvWatchMessage } from '#contract/client/kv-client'
import type { SimRandom } from '../../random.ts'
import type { World } from '../../world.ts'
import type { WatchObserver } from './watch-checker.ts'

export interface WatchHabits {
  /** Mean time that it takes over a message. */
  readonly readMs: number
  /** After a message. */
  readonly leaveRatio: number
}

const REST_MS = 300
const HURRY_MS = 1

export class WatchActor {
  readonly #world: World
  readonly #random: SimRandom
  readonly #client: KvClient
  readonly #observer: WatchObserver
  #habits: WatchHabits
  #watch: KvWatch | undefined
  #stopped = false

  constructor(world: World, random: SimRandom, client: KvClient, observer: WatchObserver, habits: WatchHabits) {
    this.#world = world
    this.#random = random
    this.#client = client
    this.#observer = observer
    this.#habits = habits
    this.#openLater()
  }

  /** Reads without a rest: more may have been written than it would ever read at its own pace. */
  hurry(): void {
    this.#habits = { readMs: HURRY_MS, leaveRatio: 0 }
  }

  stop(): void {
    this.#stopped = true
    this.#watch?.close()
  }

  #openLater(): void {
    this.#world.schedule('client', undefined, this.#random.delayMs(REST_MS), () => {
      if (this.#stopped) return
      const { scope, told } = this.#observer
      const gte = Buffer.from(scope.prefix ?? '')
      const lt = scope.prefix === undefined ? undefined : Buffer.from(`${scope.prefix}~`)
      const { previousValues } = scope
      this.#watch = this.#client.watch({ gte, lt, previousValues, ...(told !== undefined && { fromRevision: told + 1 }) })
      this.#read(this.#watch)
    })
  }

  #read(watch: KvWatch): void {
    watch.next().then(
      (message) => {
        if (!this.#stopped && watch === this.#watch) this.#took(watch, message)
      },
      // It finds another node by itself.
      (error: unknown) => this.#world.fail(error),
    )
  }

  #took(watch: KvWatch, message: KvWatchMessage | undefined): void {
    if (message !== undefined && !this.#told(message)) return
    if (message === undefined || this.#random.chance(this.#habits.leaveRatio)) {
      watch.close()
      this.#openLater()
      return
    }
    this.#world.schedule('client', undefined, this.#random.delayMs(this.#habits.readMs), () => {
      if (!this.#stopped) this.#read(watch)
    })
  }

  #told(message: KvWatchMessage): boolean {
    try {
      this.#observer.tell(message)
      return true
    } catch (broken) {
      this.#world.fail(broken)
      return false
    }
  }
}
