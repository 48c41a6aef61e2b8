// SPDX-License-Identifier: Apache-2.0
// What the key-value store keeps of logs that are gone: finding it, and removing it. May be interrupted at any point and done again.
import type { Kv } from '#base/port/kv'
import type { LogId } from '#contract/client/engine-client'
import { keysFromLog, keysOfLog, logOfKey } from './key-layout.ts'

/** Keys removed in one write. */
const KEYS_STEP = 1000

/** The logs from `first` on of which the store has anything, ascending. Costs a look-up for each. */
export async function storedLogs(kv: Kv, first: LogId): Promise<readonly LogId[]> {
  const logs: LogId[] = []
  for (let from = first; ; ) {
    const [pair] = await kv.scan({ ...keysFromLog(from), limit: 1 })
    if (pair === undefined) return logs
    const log = logOfKey(pair.key)
    logs.push(log)
    from = log + 1
  }
}

/** Removes everything of a log; resolves when that is durable. Nothing may be written to it meanwhile. */
export async function removeStoredLog(kv: Kv, log: LogId): Promise<void> {
  for (let isLast = false; !isLast; ) {
    const pairs = await kv.scan({ ...keysOfLog(log), limit: KEYS_STEP })
    isLast = pairs.length < KEYS_STEP
    await kv.write(
      pairs.map(({ key }) => ({ key, value: undefined })),
      { sync: isLast },
    )
  }
}
