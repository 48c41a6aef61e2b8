// SPDX-License-Identifier: Apache-2.0
// Which logs outlive the process. The others begin anew with it: there is nothing in them to come back to.
import type { LogId } from '#contract/client/engine-client'
import type { ShardStore } from '#storage'

export interface LogSet {
  has(log: LogId): boolean
}

/** As of when it is asked: logs come and go. */
export const durableLogsOf = (store: Pick<ShardStore, 'describe'>): LogSet => ({
  has: (log) => {
    const storage = store.describe(log)?.storage
    return storage !== undefined && storage !== 'memory'
  },
})
