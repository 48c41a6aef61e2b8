// SPDX-License-Identifier: Apache-2.0
// The logs in which there can be messages for a filter. Between the registration of an interest and the turn in which its subscription becomes live, others may be created;
// everything in those was published after the interest took effect.
import { matches } from '#base/topic-filter'
import type { LogId, LogPosition, Position } from '#contract/client/engine-client'
import type { ShardStore } from '#storage'

const NO_POSITIONS: readonly LogPosition[] = Object.freeze([])

export class ConcernedLogs {
  readonly #store: Pick<ShardStore, 'logs' | 'register'>
  readonly #registered = new Map<string, readonly LogPosition[]>()
  /** Ids only rise: what has a higher one came later. */
  readonly #lastId: LogId

  constructor(store: Pick<ShardStore, 'logs' | 'register'>) {
    this.#store = store
    this.#lastId = store.logs().at(-1)?.id ?? -1
  }

  /** Registers an interest. Returns where each log that it concerns stands, ascending by log. */
  async register(filter: string): Promise<readonly LogPosition[]> {
    const positions = [...(await this.#store.register(filter))].sort((a, b) => a.log - b.log)
    this.#registered.set(filter, positions)
    return positions
  }

  /** Those that a registered filter concerns as of this moment, ascending. */
  of(filter: string): readonly LogId[] {
    const registered = this.#registered.get(filter) ?? NO_POSITIONS
    const concerned = registered.map(({ log }) => log)
    const later: LogId[] = []
    const logs = this.#store.logs()
    for (let at = logs.length - 1; at >= 0; at--) {
      const { id, topic } = logs[at] as (typeof logs)[number]
      if (id <= this.#lastId) break
      if (topic !== undefined && matches(filter, topic) && !concerned.includes(id)) later.push(id)
    }
    return [...concerned, ...later.reverse()]
  }
}

/**
 * Where a subscription begins in a log. `since`: where it began in each log that there was, ascending. In a log that came later it has missed nothing, so it begins at the
 * first record. Logs in memory are not among those that are stored: they begin with every process.
 */
export function beginIn(since: readonly LogPosition[], log: LogId): Position {
  let low = 0
  let high = since.length
  while (low < high) {
    const middle = (low + high) >> 1
    const begin = since[middle] as LogPosition
    if (begin.log === log) return begin.position
    if (begin.log < log) low = middle + 1
    else high = middle
  }
  return 0
}
