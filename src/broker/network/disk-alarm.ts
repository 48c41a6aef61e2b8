// SPDX-License-Identifier: Apache-2.0
// Holds publishers up while the disk is nearly full: a full disk ends the process, and with it those who could empty the logs by reading them.
import { isPlatformError, messageOf } from '#base/error'
import type { Clock, Timer } from '#base/port/clock'
import type { Disk } from '#base/port/disk'
import type { Logger } from '#base/port/logger'
import { type Held, PublisherHold } from './publisher-hold.ts'

const CHECK_MS = 1_000
/** It ends when so many times the minimum are free: publishers should not come and go with every file that is removed. */
const RELIEF = 1.1

export class DiskAlarm {
  readonly #clock: Clock
  readonly #disk: Pick<Disk, 'free'>
  readonly #logger: Logger
  readonly #hold = new PublisherHold()
  #freeMinBytes: number
  #timer: Timer | undefined
  #isRunning = false

  /** `freeMinBytes`: 0 turns it off. */
  constructor(clock: Clock, disk: Pick<Disk, 'free'>, logger: Logger, freeMinBytes: number) {
    this.#clock = clock
    this.#disk = disk
    this.#logger = logger
    this.#freeMinBytes = freeMinBytes
  }

  get raised(): boolean {
    return this.#hold.raised
  }

  set freeMinBytes(bytes: number) {
    this.#freeMinBytes = bytes
  }

  /** Resolves when the disk has been looked at once. */
  async start(): Promise<void> {
    this.#isRunning = true
    await this.#check()
  }

  stop(): void {
    this.#isRunning = false
    this.#timer?.cancel()
  }

  /** It has stopped reading, and is told to go on when there is room. */
  wait(publisher: Held): void {
    this.#hold.wait(publisher)
  }

  forget(publisher: Held): void {
    this.#hold.forget(publisher)
  }

  async #check(): Promise<void> {
    try {
      const freeBytes = this.#freeMinBytes === 0 ? Number.POSITIVE_INFINITY : await this.#disk.free()
      this.#judge(freeBytes)
    } catch (error) {
      // Not to know is no reason to stop: writes that fail say so themselves.
      if (!isPlatformError(error)) throw error
      this.#logger.log('warn', `the free space of the disk is unknown: ${messageOf(error)}`)
    }
    if (this.#isRunning) this.#timer = this.#clock.after(CHECK_MS, () => void this.#check())
  }

  #judge(freeBytes: number): void {
    if (!this.raised && freeBytes < this.#freeMinBytes) {
      this.#hold.raise()
      this.#logger.log('error', 'the disk is nearly full: publishers are not read until there is room', {
        free: freeBytes,
        minimum: this.#freeMinBytes,
      })
    } else if (this.raised && freeBytes >= this.#freeMinBytes * RELIEF) {
      this.#logger.log('info', 'the disk has room again: publishers go on', { free: freeBytes })
      this.#hold.lift()
    }
  }
}
