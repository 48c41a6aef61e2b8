// SPDX-License-Identifier: Apache-2.0
// Saves the cursors of sessions: those that moved every 100 ms, and at once when somebody waits for it (D5).
import { messageOf } from '#base/error'
import type { Clock } from '#base/port/clock'
import type { Logger } from '#base/port/logger'
import type { MetaClient } from '#contract/client/meta-client'
import type { Cursor } from '#contract/record/session'

export interface CursorSource {
  readonly uid: number
  readonly epoch: number
  cursors(): readonly Cursor[]
}

const SAVE_INTERVAL_MS = 100
/** Sessions saved by one call: what one entry should hold. */
const SOURCES_MAX = 500

export class CursorSaver {
  readonly #meta: Pick<MetaClient, 'saveCursors'>
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #dirty = new Set<CursorSource>()
  #scheduled = false

  constructor(meta: Pick<MetaClient, 'saveCursors'>, clock: Clock, logger: Logger) {
    this.#meta = meta
    this.#clock = clock
    this.#logger = logger
  }

  /** The source has moved: it is saved soon. */
  mark(source: CursorSource): void {
    this.#dirty.add(source)
    if (this.#scheduled) return
    this.#scheduled = true
    this.#clock.after(SAVE_INTERVAL_MS, this.#save)
  }

  /** Saves the source; resolves when that is committed. */
  async saveNow(source: CursorSource): Promise<void> {
    this.#dirty.delete(source)
    await this.#meta.saveCursors([{ uid: source.uid, epoch: source.epoch, cursors: source.cursors() }])
  }

  /** The session has ended or is somebody else's. */
  forget(source: CursorSource): void {
    this.#dirty.delete(source)
  }

  readonly #save = (): void => {
    void this.#saveDirty()
  }

  async #saveDirty(): Promise<void> {
    const sources = [...this.#dirty]
    this.#dirty.clear()
    try {
      for (let from = 0; from < sources.length; from += SOURCES_MAX) {
        const page = sources.slice(from, from + SOURCES_MAX)
        await this.#meta.saveCursors(page.map((source) => ({ uid: source.uid, epoch: source.epoch, cursors: source.cursors() })))
      }
    } catch (error) {
      // Older cursors mean that more is sent again, nothing else: the next save makes up for it.
      this.#logger.log('warn', 'cursors were not saved, trying again', { sessions: sources.length, error: messageOf(error) })
      for (const source of sources) this.#dirty.add(source)
    }
    this.#scheduled = this.#dirty.size > 0
    if (this.#scheduled) this.#clock.after(SAVE_INTERVAL_MS, this.#save)
  }
}
