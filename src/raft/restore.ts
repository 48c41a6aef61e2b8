// SPDX-License-Identifier: Apache-2.0
// What a group is when a node starts: as the log store has it, or new. A log and a state that do not fit together are damage.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { encodeConfChange } from './core/conf-change.ts'
import {
  CONF_NONE,
  type Entry,
  type GroupId,
  HARD_STATE_NONE,
  type HardState,
  type LogIndex,
  type LogStart,
  NODE_NONE,
  type NodeId,
  START_NONE,
  type Term,
} from './core/message.ts'
import type { GroupWrite, LogStore, RecoveredGroup } from './log-store.ts'

const REMEDY =
  'Restore the data directory from a copy in which log and state are of the same moment, or remove it to begin anew and lose its content. ' +
  'One of several nodes is replaced by a new one instead.'

const FIRST_TERM: Term = 1

/** A group that no log knows, with this node as the only voter. */
export function newGroup(group: GroupId, node: NodeId): RecoveredGroup {
  const start = { ...START_NONE, conf: { ...CONF_NONE, voters: [node] } }
  return { group, hardState: HARD_STATE_NONE, start, lastIndex: start.index, confEntries: [] }
}

/**
 * A group that begins on several nodes: on each of its voters the same first entry names them all, so that whoever joins later learns
 * them from the log. A node that is none of them begins with nothing, and is quiet until it is told.
 */
export function newReplicatedGroup(group: GroupId, node: NodeId, voters: readonly NodeId[]): RecoveredGroup {
  const start = START_NONE
  if (!voters.includes(node)) return { group, hardState: HARD_STATE_NONE, start, lastIndex: start.index, confEntries: [] }
  const ascending = [...voters].sort((a, b) => a - b)
  const data = encodeConfChange(ascending.map((voter) => ({ kind: 'addVoter', node: voter })))
  const first: Entry = { index: start.index + 1, term: FIRST_TERM, kind: 'conf', data }
  const hardState = { term: FIRST_TERM, vote: NODE_NONE, commit: first.index }
  return { group, hardState, start, lastIndex: first.index, confEntries: [first] }
}

/** What makes a new group known to its log store. */
export const bootstrapWrite = ({ group, hardState, start, confEntries }: RecoveredGroup): GroupWrite => ({
  group,
  entries: confEntries,
  hardState,
  start,
})

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

/**
 * Makes the log begin where a snapshot ends that was installed in its state. What the log holds above is kept if it is of the same history (R41).
 * Resolves with the group as the log has it then.
 */
export async function beginLogAt(start: LogStart, recovered: RecoveredGroup, store: LogStore): Promise<RecoveredGroup> {
  if (recovered.start.index >= start.index) return recovered
  const keeps = store.term(recovered.group, start.index) === start.term
  const { term, vote, commit } = recovered.hardState
  const hardState: HardState =
    term >= start.term ? { term, vote, commit: Math.max(commit, start.index) } : { term: start.term, vote: NODE_NONE, commit: start.index }
  await store.write([{ group: recovered.group, entries: [], hardState, start }], { sync: true })
  const confEntries = keeps ? recovered.confEntries.filter(({ index }) => index > start.index) : []
  return { group: recovered.group, hardState, start, lastIndex: keeps ? recovered.lastIndex : start.index, confEntries }
}
