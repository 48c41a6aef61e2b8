// SPDX-License-Identifier: Apache-2.0
// What watches promise (T13): ordered, unique, atomic, without a gap, resumable from any revision told, with the true value of before. Watches of all keys from the
// first revision define the history, each revision by whoever is told of it first; every other watch must show its part of the same.
import type { KvEvent, KvItem, KvRevision, KvWatchMessage } from '#contract/client/kv-client'
import { SimFailure } from '../../world.ts'

export class WatchBroken extends SimFailure {
  readonly checker = 'watch'
}

/** All events by revision, in order. */
export type KvChanges = ReadonlyMap<KvRevision, readonly KvEvent[]>

export interface WatchScope {
  /** Keys that begin with it; undefined for all of them. */
  readonly prefix: string | undefined
  readonly previousValues: boolean
}

export class WatchChecker {
  readonly #changes = new Map<KvRevision, readonly KvEvent[]>()
  readonly #items = new Map<string, KvItem>()
  readonly #watches: WatchObserver[] = []

  /** `from`: the first revision that it is to tell of; undefined when it begins where its first message says. */
  watch(name: string, scope: WatchScope, from: KvRevision | undefined): WatchObserver {
    const watch = new WatchObserver(name, scope, from, (revision, events) => this.#extend(name, revision, events))
    this.#watches.push(watch)
    return watch
  }

  get changes(): KvChanges {
    return this.#changes
  }

  /** Whether every watch has told of all that concerns it, up to the latest revision. */
  isComplete(latest: KvRevision): boolean {
    if (this.#changes.size < latest) return false
    return this.#watches.every((watch) => {
      const last = watch.scope.prefix === undefined ? latest : this.#lastOf(watch.scope)
      return watch.told !== undefined && watch.told >= last
    })
  }

  /** Compares every watch with the history. */
  check(): void {
    for (const watch of this.#watches) {
      for (const [revision, events] of this.#changes) {
        if (watch.told === undefined || revision < watch.begin || revision > watch.told) continue
        const expected = describe(events.filter((event) => concerns(watch.scope, event)).map((event) => reduced(watch.scope, event)))
        const shown = describe(watch.shown.get(revision) ?? [])
        if (expected !== shown) throw new WatchBroken(`${watch.name} at revision ${revision}: told ${shown}, happened ${expected}`)
      }
      for (const revision of watch.shown.keys())
        if (!this.#changes.has(revision)) throw new WatchBroken(`${watch.name} told of revision ${revision}, which there is not`)
    }
  }

  #lastOf(scope: WatchScope): KvRevision {
    let last = 0
    for (const [revision, events] of this.#changes) if (events.some((event) => concerns(scope, event))) last = revision
    return last
  }

  #extend(name: string, revision: KvRevision, events: readonly KvEvent[]): void {
    const known = this.#changes.get(revision)
    if (known !== undefined) return
    if (revision !== this.#changes.size + 1)
      throw new WatchBroken(`${name} tells of revision ${revision}, and nobody has told of ${this.#changes.size + 1}`)
    for (const event of events) this.#apply(`${name} at revision ${revision}`, revision, event)
    this.#changes.set(revision, events)
  }

  /** Every event says what its key held before it, and follows from that. */
  #apply(place: string, revision: KvRevision, event: KvEvent): void {
    const { kind, item, previous } = event
    const key = item.key.toString()
    const before = this.#items.get(key)
    if (describeItem(before) !== describeItem(previous))
      throw new WatchBroken(`${place}: ${key} was ${describeItem(before)}, and is told to have been ${describeItem(previous)}`)
    if (item.modRevision !== revision) throw new WatchBroken(`${place}: ${key} is told to have changed at ${item.modRevision}`)
    if (kind === 'delete') {
      if (before === undefined) throw new WatchBroken(`${place}: ${key} was deleted, and was not there`)
      this.#items.delete(key)
      return
    }
    if (item.version !== (before?.version ?? 0) + 1 || item.createRevision !== (before?.createRevision ?? revision))
      throw new WatchBroken(`${place}: ${describeItem(item)} does not follow from ${describeItem(before)}`)
    this.#items.set(key, item)
  }
}

/** What one reader is told, over all nodes that serve it. */
export class WatchObserver {
  readonly name: string
  readonly scope: WatchScope
  readonly shown = new Map<KvRevision, readonly KvEvent[]>()
  readonly #extend: (revision: KvRevision, events: readonly KvEvent[]) => void
  #begin: KvRevision | undefined
  #told: KvRevision | undefined

  constructor(
    name: string,
    scope: WatchScope,
    from: KvRevision | undefined,
    extend: (revision: KvRevision, events: readonly KvEvent[]) => void,
  ) {
    this.name = name
    this.scope = scope
    this.#extend = extend
    this.#begin = from
    this.#told = from === undefined ? undefined : from - 1
  }

  /** Everything up to here has been told. */
  get told(): KvRevision | undefined {
    return this.#told
  }

  /** The first revision that it had to tell of. */
  get begin(): KvRevision {
    return this.#begin ?? 1
  }

  tell(message: KvWatchMessage): void {
    if (message.kind === 'compacted') throw new WatchBroken(`${this.name}: history from ${message.firstRevision} on is all that is kept`)
    const { revision } = message
    const told = this.#told
    if (told === undefined) {
      if (message.kind !== 'progress') throw new WatchBroken(`${this.name} begins without saying where`)
      this.#begin = revision + 1
    } else if (message.kind === 'progress' ? revision < told : revision <= told)
      throw new WatchBroken(`${this.name} tells of revision ${revision} after ${told}`)
    if (this.#definesHistory && revision > (told ?? 0) + (message.kind === 'events' ? 1 : 0))
      throw new WatchBroken(`${this.name} leaps from revision ${told} to ${revision}`)
    this.#told = revision
    if (message.kind !== 'events') return
    if (message.events.some((event) => !concerns(this.scope, event)))
      throw new WatchBroken(`${this.name} tells of keys that are not its own`)
    this.shown.set(revision, message.events)
    if (this.#definesHistory) this.#extend(revision, message.events)
  }

  get #definesHistory(): boolean {
    return this.scope.prefix === undefined && this.scope.previousValues && this.#begin === 1
  }
}

const concerns = ({ prefix = '' }: WatchScope, { item }: KvEvent): boolean => item.key.toString().startsWith(prefix)

const reduced = ({ previousValues }: WatchScope, { kind, item, previous }: KvEvent): KvEvent => ({
  kind,
  item,
  previous: previousValues ? previous : undefined,
})

const describe = (events: readonly KvEvent[]): string =>
  events.map(({ kind, item, previous }) => `${kind} ${describeItem(item)} after ${describeItem(previous)}`).join(', ') || 'nothing'

const describeItem = (item: KvItem | undefined): string =>
  item === undefined
    ? 'nothing'
    : `${item.key}=${item.value.toString().trim()} (created ${item.createRevision}, changed ${item.modRevision}, version ${item.version})`
