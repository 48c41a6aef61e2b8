// SPDX-License-Identifier: Apache-2.0
// Reads the beginning of a range as it is after writes that have not reached the store.
import type { Kv, KvOperation, KvPair } from '#base/port/kv'
import { keyAfter } from '../codec/key.ts'
import type { BoundedRange, RangeView } from './state-machine.ts'

const PAGE_PAIRS = 64

/** `writes` are by key, as latin1 text. */
export async function readRange(kv: Kv, range: BoundedRange, writes: ReadonlyMap<string, KvOperation>): Promise<RangeView> {
  const found = new Bounded(range)
  const written = writesWithin(range, writes)
  let next = 0
  let gte = range.gte
  while (!found.more) {
    const page = await kv.scan({ gte, lt: range.lt, limit: PAGE_PAIRS })
    for (const pair of page) {
      for (; next < written.length && (written[next] as KvOperation).key.compare(pair.key) < 0; next++)
        found.add(written[next] as KvOperation)
      if (written[next]?.key.equals(pair.key)) found.add(written[next++] as KvOperation)
      else found.add(pair)
    }
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE_PAIRS) {
      for (; next < written.length; next++) found.add(written[next] as KvOperation)
      break
    }
    gte = keyAfter(last.key)
  }
  return found
}

class Bounded implements RangeView {
  readonly pairs: KvPair[] = []
  bytes = 0
  more = false
  readonly #range: BoundedRange

  constructor(range: BoundedRange) {
    this.#range = range
  }

  add({ key, value }: KvOperation): void {
    if (value === undefined || this.more) return
    const bytes = this.bytes + key.length + value.length
    if (this.pairs.length === this.#range.pairsMax || bytes > this.#range.bytesMax) {
      this.more = true
      return
    }
    this.pairs.push({ key, value })
    this.bytes = bytes
  }
}

function writesWithin({ gte, lt }: BoundedRange, writes: ReadonlyMap<string, KvOperation>): readonly KvOperation[] {
  const within: KvOperation[] = []
  for (const operation of writes.values()) if (operation.key.compare(gte) >= 0 && operation.key.compare(lt) < 0) within.push(operation)
  return within.sort((a, b) => a.key.compare(b.key))
}
