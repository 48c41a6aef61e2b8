// SPDX-License-Identifier: Apache-2.0
// Reads ranges of the store page by page, so that no scan blocks the loop or fills the memory (D13).
import type { Kv, KvPair } from '#base/port/kv'
import { type KeyRange, keyAfter } from './codec/key.ts'

const PAGE_PAIRS = 500

/** Calls `visit` for the pairs of a range in order, until it returns false. Pages are read one after the other: writes may come between them. */
export async function scanRange(kv: Pick<Kv, 'scan'>, range: KeyRange, visit: (pair: KvPair) => boolean): Promise<void> {
  let gte = range.gte
  for (;;) {
    const page = await kv.scan({ gte, lt: range.lt, limit: PAGE_PAIRS })
    for (const pair of page) if (!visit(pair)) return
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE_PAIRS) return
    gte = keyAfter(last.key)
  }
}
