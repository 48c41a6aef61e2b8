// SPDX-License-Identifier: Apache-2.0
// What clients of the key-value store have done and seen, and whether it agrees with the history that watches tell: each write is there once or never, whole, at the
// revision that its client was told (R54), and revisions are in the order of real time.
import type { KvEvent, KvRevision } from '#contract/client/kv-client'
import { SimFailure } from '../../world.ts'
import type { KvChanges } from './watch-checker.ts'

/** 'refused': it was not done and will not be, or its compare failed. */
export type WriteOutcome =
  | { readonly kind: 'done'; readonly revision: KvRevision }
  | { readonly kind: 'refused' }
  | { readonly kind: 'unknown' }

export interface KvWrite {
  /** Values that no other write has, by key; empty for a delete. */
  readonly values: ReadonlyMap<string, number>
  readonly called: number
  readonly returned: number
  readonly outcome: WriteOutcome
}

export class WriteBroken extends SimFailure {
  readonly checker = 'exactly once'
}

export class KvLedger {
  readonly #writes: KvWrite[] = []
  readonly #reads: { readonly called: number; readonly revision: KvRevision }[] = []

  wrote(write: KvWrite): void {
    this.#writes.push(write)
  }

  /** A linearizable read has shown the state as of `revision`. */
  read(called: number, revision: KvRevision): void {
    this.#reads.push({ called, revision })
  }

  get writes(): number {
    return this.#writes.length
  }

  /** `changes`: everything that has happened, by revision. Throws what does not fit. */
  check(changes: KvChanges): void {
    this.#checkOnce(changes)
    this.#checkOrder()
  }

  #checkOnce(changes: KvChanges): void {
    const revisions = new Map<number, KvRevision>()
    for (const [revision, events] of changes) {
      for (const event of events) {
        if (event.kind === 'delete') continue
        const value = writtenValue(event)
        const before = revisions.get(value)
        if (before !== undefined) throw new WriteBroken(`the write of ${value} was done at revision ${before} and again at ${revision}`)
        revisions.set(value, revision)
      }
    }
    for (const { values, outcome } of this.#writes) {
      const at = [...values.values()].map((value) => revisions.get(value))
      const name = [...values].map(([key, value]) => `${key}=${value}`).join(' ')
      for (const value of values.values()) revisions.delete(value)
      if (new Set(at).size > 1) throw new WriteBroken(`the write of ${name} was done in parts: ${at}`)
      const [revision] = at
      if (outcome.kind === 'refused' && revision !== undefined)
        throw new WriteBroken(`the write of ${name} was refused, and done at ${revision}`)
      if (outcome.kind === 'done' && values.size > 0 && revision !== outcome.revision)
        throw new WriteBroken(`the write of ${name} was answered with revision ${outcome.revision}, and done at ${revision}`)
    }
    for (const [value, revision] of revisions) throw new WriteBroken(`nobody has written ${value}, which came at revision ${revision}`)
  }

  /** What is called after a write has returned sees it, and comes later when it writes. */
  #checkOrder(): void {
    const done = this.#writes.flatMap(({ values, called, returned, outcome }) =>
      outcome.kind === 'done' ? [{ called, returned, revision: outcome.revision, writes: values.size > 0 }] : [],
    )
    const calls = [...done, ...this.#reads.map((read) => ({ ...read, writes: false }))].sort((a, b) => a.called - b.called)
    const returns = done.sort((a, b) => a.returned - b.returned)
    let latest = 0
    let at = 0
    for (const { called, revision, writes } of calls) {
      for (let write = returns[at]; write !== undefined && write.returned < called; write = returns[++at])
        latest = Math.max(latest, write.revision)
      if (writes ? revision <= latest : revision < latest)
        throw new WriteBroken(
          `a call of ${called.toFixed(3)} was answered as of revision ${revision}, after revision ${latest} had been told`,
        )
    }
  }
}

const writtenValue = ({ item }: KvEvent): number => Number(item.value.toString())
