// SPDX-License-Identifier: Apache-2.0
// Holds publishers up while the process has nearly all the memory that it may have: beyond that it is ended, by V8 or by the operating system, and with
// it the consumers that would relieve it.
import type { Clock, Timer } from '#base/port/clock'
import type { Logger } from '#base/port/logger'
import type { Memory } from '#base/port/memory'
import { type Held, PublisherHold } from './publisher-hold.ts'

const CHECK_MS = 1_000
/** It ends below so much of the watermark: publishers should not come and go with every collection of garbage. */
const RELIEF = 0.95
/** Share of the machine's memory that is the watermark when none is set. */
const MACHINE_SHARE = 0.8

export class MemoryAlarm {
  readonly #clock: Clock
  readonly #memory: Memory
  readonly #logger: Logger
  readonly #hold = new PublisherHold()
  #highBytes: number
  #timer: Timer | undefined

  /** `highBytes`: resident bytes above which it is raised; 0 turns it off, Infinity stands for what the machine and V8 allow. */
  constructor(clock: Clock, memory: Memory, logger: Logger, highBytes: number) {
    this.#clock = clock
    this.#memory = memory
    this.#logger = logger
    this.#highBytes = highBytes
  }

  get raised(): boolean {
    return this.#hold.raised
  }

  set highBytes(bytes: number) {
    this.#highBytes = bytes
  }

  /** In force: Infinity while it is off. */
  get watermarkBytes(): number {
    if (this.#highBytes === 0) return Number.POSITIVE_INFINITY
    if (this.#highBytes !== Number.POSITIVE_INFINITY) return this.#highBytes
    const { machineBytes, heapBytesMax } = this.#memory
    return Math.min(machineBytes * MACHINE_SHARE, heapBytesMax)
  }

  start(): void {
    this.#check()
  }

  stop(): void {
    this.#timer?.cancel()
  }

  wait(publisher: Held): void {
    this.#hold.wait(publisher)
  }

  forget(publisher: Held): void {
    this.#hold.forget(publisher)
  }

  readonly #check = (): void => {
    const residentBytes = this.#memory.residentBytes()
    const watermarkBytes = this.watermarkBytes
    if (!this.raised && residentBytes > watermarkBytes) {
      this.#hold.raise()
      this.#logger.log('error', 'memory is nearly used up: publishers are not read until there is room', {
        resident: residentBytes,
        watermark: watermarkBytes,
      })
    } else if (this.raised && residentBytes < watermarkBytes * RELIEF) {
      this.#logger.log('info', 'there is memory again: publishers go on', { resident: residentBytes })
      this.#hold.lift()
    }
    this.#timer = this.#clock.after(CHECK_MS, this.#check)
  }
}
