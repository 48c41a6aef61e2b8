// SPDX-License-Identifier: Apache-2.0
// What a log store must hold after a series of writes, as plainly as it can be said, and what a real one holds, to compare.
import {
  CONF_NONE,
  type Entry,
  type EntryKind,
  type GroupId,
  type HardState,
  type LogIndex,
  type LogStart,
  type Term,
} from '../../../../src/raft/core/message.ts'
import type { GroupWrite, LogStore, RecoveredGroup } from '../../../../src/raft/log-store.ts'

export function entry(
  index: LogIndex,
  term: Term,
  data: string | Buffer = `entry ${index} of term ${term}`,
  kind: EntryKind = 'normal',
): Entry {
  return { index, term, kind, data: typeof data === 'string' ? Buffer.from(data) : data }
}

/** Entries [from, to] of one term. */
export function entries(from: LogIndex, to: LogIndex, term: Term): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, at) => entry(from + at, term))
}

export function start(index: LogIndex, term: Term, voters: readonly number[] = [1, 2, 3], learners: readonly number[] = []): LogStart {
  return { index, term, conf: { ...CONF_NONE, voters, learners } }
}

export const hardState = (term: Term, vote: number, commit: LogIndex): HardState => ({ term, vote, commit })

interface ModelGroup {
  hardState: HardState
  start: LogStart
  entries: Entry[]
}

export class LogModel {
  readonly #groups = new Map<GroupId, ModelGroup>()

  write(batch: readonly GroupWrite[]): void {
    for (const { group, entries, hardState, start, dropped } of batch) {
      if (dropped) {
        this.#groups.delete(group)
        continue
      }
      const log = this.#groups.get(group) ?? {
        hardState: { term: 0, vote: 0, commit: 0 },
        start: { index: 0, term: 0, conf: CONF_NONE },
        entries: [],
      }
      this.#groups.set(group, log)
      if (start !== undefined) {
        const term = start.index === log.start.index ? log.start.term : log.entries.find(({ index }) => index === start.index)?.term
        log.entries = term === start.term ? log.entries.filter(({ index }) => index > start.index) : []
        log.start = start
      }
      for (const entry of entries) log.entries = [...log.entries.filter(({ index }) => index < entry.index), entry]
      if (hardState !== undefined) log.hardState = hardState
    }
  }

  /** All of it, one group a line. */
  dump(): string {
    return [...this.#groups]
      .sort(([a], [b]) => a - b)
      .map(([group, { hardState, start, entries }]) => line(group, hardState, start, entries))
      .join('\n')
  }
}

/** What an open store holds, in the form of `LogModel.dump`. Every entry is read, and its term asked for. */
export async function dumpStore(store: LogStore, recovered: readonly RecoveredGroup[]): Promise<string> {
  const lines: string[] = []
  for (const { group, hardState, start, lastIndex } of recovered) {
    const entries: Entry[] = []
    for (let index = start.index + 1; index <= lastIndex; index = start.index + 1 + entries.length) {
      entries.push(...(await store.read(group, index, lastIndex + 1, 200)))
    }
    for (const { index, term } of entries) if (store.term(group, index) !== term) lines.push(`group ${group}: term(${index}) is wrong`)
    if (store.term(group, start.index) !== start.term) lines.push(`group ${group}: the term of the start is wrong`)
    if (store.term(group, lastIndex + 1) !== undefined) lines.push(`group ${group}: there is a term after the end`)
    lines.push(line(group, hardState, start, entries))
  }
  return lines.join('\n')
}

function line(group: GroupId, { term, vote, commit }: HardState, start: LogStart, entries: readonly Entry[]): string {
  const { voters, learners } = start.conf
  const state = `group ${group}: term ${term} vote ${vote} commit ${commit} start ${start.index}@${start.term} voters ${voters} learners ${learners}`
  return [state, ...entries.map(({ index, term, kind, data }) => `${index}@${term} ${kind} ${data.toString('hex')}`)].join('; ')
}
