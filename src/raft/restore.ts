// SPDX-License-Identifier: Apache-2.0
// What a group is when a node starts: as the log store has it, or new. A log and a state that do not fit together are damage.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { type GroupId, type HardState, INDEX_NONE, type LogIndex, NODE_NONE, type NodeId, TERM_NONE } from './core/message.ts'
import type { GroupWrite, RecoveredGroup } from './log-store.ts'

const REMEDY =
  'Restore the data directory from a copy in which log and state are of the same moment, or remove it to begin anew and lose its content.'

/** A group that no log knows, with this node as the only voter. */
export function newGroup(group: GroupId, node: NodeId): RecoveredGroup {
  const hardState: HardState = { term: TERM_NONE, vote: NODE_NONE, commit: INDEX_NONE }
  const start = { index: INDEX_NONE, term: TERM_NONE, conf: { voters: [node], learners: [] } }
  return { group, hardState, start, lastIndex: INDEX_NONE }
}

/** What makes a new group known to its log store. */
export const bootstrapWrite = ({ group, hardState, start }: RecoveredGroup): GroupWrite => ({ group, entries: [], hardState, start })

/** Throws dataDamaged unless the log holds everything between what the state machine has applied and what was committed. */
export function checkFits(recovered: RecoveredGroup, applied: LogIndex): void {
  const { group, hardState, start, lastIndex } = recovered
  const log = `the log holds entries ${start.index + 1} to ${lastIndex}`
  const damaged = (what: string): PlatformError =>
    new PlatformError(ERROR_CODES.dataDamaged, `raft group ${group}: ${what}. ${REMEDY}`, {
      detail: { group, applied, commit: hardState.commit, startIndex: start.index, lastIndex },
    })
  if (applied > lastIndex) throw damaged(`the log has lost entries that were applied: the state covers entry ${applied}, ${log}`)
  if (hardState.commit > lastIndex) throw damaged(`the log has lost entries that were committed: up to ${hardState.commit}, ${log}`)
  if (applied < start.index) throw damaged(`the state is older than the beginning of the log: it covers entry ${applied}, ${log}`)
}
