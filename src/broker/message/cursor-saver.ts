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
  /** Sources that are saved first, because they must know of everything that this one does not hold any more. They have none themselves. */
  readonly before: readonly CursorSource[]
  /** Whether it is saved itself, not only those before it. */
  readonly stored: boolean
  /** What has changed since it was last saved, as it is now. */
  unsaved(): UnsavedCursors
  /** What `unsaved` told of up to this mark is committed. */
  saved(mark: number): void
}

export interface UnsavedCursors {
  readonly cursors: readonly Cursor[]
  readonly mark: number
}

const SAVE_INTERVAL_MS = 100
/** Sessions saved by one call: what one entry should hold. */
const SOURCES_MAX = 500

export class CursorSaver {
  readonly #meta: Pick<MetaClient, 'saveCursors'>
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #dirty = new Set<CursorSource>()
  /** Saves of sources that have others before them: one at a time for each, so that a later one never holds older cursors. */
  readonly #turns = new Map<CursorSource, Promise<void>>()
  /** Saves that begin with the next microtask, for all who want them. */
  readonly #joint = new Map<CursorSource, Promise<void>>()
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

  /** Saves the source as it is now, or later; resolves when that is committed. */
  async saveNow(source: CursorSource): Promise<void> {
    this.#dirty.delete(source)
    if (source.before.length === 0) {
      if (source.stored) await this.#commit([saveOf(source)])
      return
    }
    const turn = this.#afterLast(source)
    this.#turns.set(source, turn)
    try {
      await turn
    } finally {
      if (this.#turns.get(source) === turn) this.#turns.delete(source)
    }
  }

  /** The session has ended or is somebody else's. */
  forget(source: CursorSource): void {
    this.#dirty.delete(source)
  }

  async #afterLast(source: CursorSource): Promise<void> {
    const last = this.#turns.get(source)
    if (last !== undefined) await Promise.allSettled([last])
    // Taken before those of the others: what is not in it, they know of.
    const save = saveOf(source)
    await Promise.all(source.before.map((other) => this.#saveJointly(other)))
    if (source.stored) await this.#commit([save])
  }

  #saveJointly(source: CursorSource): Promise<void> {
    let joint = this.#joint.get(source)
    if (joint === undefined) {
      joint = this.#saveNext(source)
      this.#joint.set(source, joint)
    }
    return joint
  }

  async #saveNext(source: CursorSource): Promise<void> {
    await null
    this.#joint.delete(source)
    await this.saveNow(source)
  }

  async #commit(saves: readonly Save[]): Promise<void> {
    const changed = saves.filter(({ cursors }) => cursors.length > 0)
    if (changed.length === 0) return
    await this.#meta.saveCursors(changed.map(({ source: { uid, epoch }, cursors }) => ({ uid, epoch, cursors })))
    for (const { source, mark } of changed) source.saved(mark)
  }

  readonly #save = (): void => {
    void this.#saveDirty()
  }

  async #saveDirty(): Promise<void> {
    const sources = [...this.#dirty]
    this.#dirty.clear()
    try {
      const following = sources.filter(({ before }) => before.length > 0)
      const leading = new Set(following.flatMap(({ before }) => before))
      const alone = sources.filter((source) => source.before.length === 0 && source.stored && !leading.has(source))
      for (let from = 0; from < alone.length; from += SOURCES_MAX) {
        await this.#commit(alone.slice(from, from + SOURCES_MAX).map(saveOf))
      }
      await Promise.all(following.map((source) => this.saveNow(source)))
    } catch (error) {
      // Older cursors mean that more is sent again, nothing else: the next save makes up for it.
      this.#logger.log('warn', 'cursors were not saved, trying again', { sessions: sources.length, error: messageOf(error) })
      for (const source of sources) this.#dirty.add(source)
    }
    this.#scheduled = this.#dirty.size > 0
    if (this.#scheduled) this.#clock.after(SAVE_INTERVAL_MS, this.#save)
  }
}

interface Save extends UnsavedCursors {
  readonly source: CursorSource
}

const saveOf = (source: CursorSource): Save => ({ source, ...source.unsaved() })
