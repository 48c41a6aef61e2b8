// SPDX-License-Identifier: Apache-2.0
// A log store that tells the checkers what it has made durable.
import type { Entry, EntryPiece, GroupId, GroupWrite, LogIndex, LogPressure, LogStore, RecoveredGroup, Term } from '#raft'

export interface LogObserver {
  opened(recovered: readonly RecoveredGroup[], termOf: (group: GroupId, index: LogIndex) => Term | undefined): void
  written(batch: readonly GroupWrite[]): void
  /** Written, and not to be durable before something depends on it. */
  deferred(batch: readonly GroupWrite[]): void
}

export class ObservedLogStore implements LogStore {
  readonly #store: LogStore
  readonly #observer: LogObserver
  /** Written and not yet synced: they are durable with the next sync. */
  #unsynced: GroupWrite[] = []

  constructor(store: LogStore, observer: LogObserver) {
    this.#store = store
    this.#observer = observer
  }

  async open(): Promise<readonly RecoveredGroup[]> {
    const recovered = await this.#store.open()
    this.#observer.opened(recovered, (group, index) => this.#store.term(group, index))
    return recovered
  }

  async write(batch: readonly GroupWrite[], options: { readonly sync: boolean }): Promise<void> {
    await this.#store.write(batch, options)
    this.#unsynced.push(...batch)
    if (!options.sync) {
      this.#observer.deferred(batch)
      return
    }
    const durable = this.#unsynced
    this.#unsynced = []
    this.#observer.written(durable)
  }

  term(group: GroupId, index: LogIndex): Term | undefined {
    return this.#store.term(group, index)
  }

  read(group: GroupId, from: LogIndex, to: LogIndex, bytesMax: number): Promise<readonly Entry[]> {
    return this.#store.read(group, from, to, bytesMax)
  }

  readPieces(group: GroupId, pieces: readonly EntryPiece[]): Promise<readonly Buffer[]> {
    return this.#store.readPieces(group, pieces)
  }

  pressure(): LogPressure {
    return this.#store.pressure()
  }

  reclaim(): Promise<void> {
    return this.#store.reclaim()
  }

  close(): Promise<void> {
    return this.#store.close()
  }
}
