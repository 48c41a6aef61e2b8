// SPDX-License-Identifier: Apache-2.0
// The invariants of one Raft group, over all its replicas and all their lives (RELIABILITY 3.4), judged by what the log stores made durable, what the
// state machines were given, and what the replicas say of themselves after each event. What is checked costs as much as what has happened.
//
//   election safety        a term has one leader                     state machine safety   every index is applied with one entry and gives one state
//   monotonic              term, vote, commit; across restarts too   commit                 only with the current term's entry durable on a quorum (R20)
//   log matching           index and term name entry and prefix      membership             a leader has one change not committed at most (R32), and
//   leader completeness    a new leader has what was committed                              makes it after an entry of its term is committed (R33)
//   durability             a restart finds what was synced
import { crc32c } from '#base/crc32c'
import type { ConfState, Entry, GroupStatus, GroupWrite, LogIndex, NodeId, RecoveredGroup, Term } from '#raft'
import { SimFailure } from '../../world.ts'
import { ReplicaLog } from './replica-log.ts'

/** What is checked, by the name under which a failure tells of it. */
export type Invariant =
  | 'election safety'
  | 'monotonic'
  | 'log matching'
  | 'leader completeness'
  | 'state machine safety'
  | 'commit'
  | 'membership'
  | 'durability'

export class InvariantBroken extends SimFailure {
  readonly checker: Invariant

  constructor(checker: Invariant, message: string) {
    super(`${checker}: ${message}`)
    this.checker = checker
  }
}

/** What a replica said after the last event. */
interface Seen {
  readonly incarnation: number
  readonly term: Term
  readonly commit: LogIndex
  readonly leads: boolean
}

interface CommitStep {
  /** Of whoever showed that it was committed: no earlier leader did it later. */
  readonly term: Term
  readonly index: LogIndex
}

const INDEX_SPAN = 2 ** 32

export class RaftChecker {
  readonly #group: number
  readonly #logs = new Map<NodeId, ReplicaLog>()
  /** Of nodes that have lost their disks: what they had acknowledged before may still be counted. */
  readonly #lostLogs = new Map<NodeId, ReplicaLog>()
  readonly #seen = new Map<NodeId, Seen>()
  readonly #leaders = new Map<Term, NodeId>()
  /** Terms whose leader was seen to have all that was committed before. */
  readonly #complete = new Set<Term>()
  /** By (term, index): checksum of the entry, and the term of the one before it. */
  readonly #sums = new Map<number, number>()
  readonly #previousTerms = new Map<number, Term>()
  /** Of committed entries, by index, once one replica has applied them; and of the state after them. */
  readonly #committed: Term[] = []
  readonly #states: (number | undefined)[] = []
  readonly #commits: CommitStep[] = []
  /** Terms whose leader has committed an entry of its own. */
  readonly #established = new Set<Term>()
  #commit: LogIndex = 0
  #lastIndex: LogIndex = 0
  #latestConf: { readonly applied: LogIndex; readonly conf: ConfState } | undefined

  constructor(group: number) {
    this.#group = group
  }

  /** The highest index known to be committed. */
  get commit(): LogIndex {
    return this.#commit
  }

  /** The highest index that any log was seen to have, durable or not. */
  get lastIndex(): LogIndex {
    return this.#lastIndex
  }

  /** The membership as of the latest entry that any replica was seen to have applied. */
  get conf(): ConfState | undefined {
    return this.#latestConf?.conf
  }

  /** Terms that had a leader. */
  get elections(): number {
    return this.#leaders.size
  }

  /** The log of the group was opened at the start of a process. */
  opened(node: NodeId, recovered: RecoveredGroup | undefined, termOf: (index: LogIndex) => Term | undefined): void {
    const before = this.#logs.get(node)
    if (recovered === undefined) {
      if (before !== undefined) this.#broken('durability', `node ${node} has lost its whole log`)
      return
    }
    const log = ReplicaLog.recovered(recovered, termOf)
    if (before !== undefined) this.#checkKept(node, before, log)
    this.#logs.set(node, log)
  }

  /** A write is durable. */
  written(node: NodeId, write: GroupWrite): void {
    const log = this.#logs.get(node)
    if (log === undefined) {
      if (write.hardState === undefined || write.start === undefined) return
      const begun = new ReplicaLog(write.hardState, write.start)
      this.#logs.set(node, begun)
      begun.write(write)
    } else {
      this.#checkVote(node, log, write)
      log.write(write)
      if (write.entries.length > 0) this.#checkComplete(node, log, log.lastTerm)
    }
    for (const entry of write.entries) {
      this.#checkEntry(node, entry)
      if (entry.kind === 'conf') this.#checkEstablished(node, entry)
    }
  }

  /** A write is not waited for: only a commit index may be in it (R5). Anything else is a promise that a crash would break. */
  deferred(node: NodeId, { entries, hardState, start }: GroupWrite): void {
    const before = this.#logs.get(node)?.hardState
    const promises = hardState !== undefined && before !== undefined && (hardState.term !== before.term || hardState.vote !== before.vote)
    if (entries.length > 0 || start !== undefined || promises)
      this.#broken('durability', `node ${node} does not wait until its entries, its term or its vote are durable`)
  }

  /** An entry was given to the state machine, which is worth `state` after it, if it can tell. */
  applied(node: NodeId, entry: Entry, state: number | undefined): void {
    const { index, term } = entry
    const before = this.#committed[index]
    if (before !== undefined && before !== term) {
      this.#broken('state machine safety', `node ${node} applies entry ${index} of term ${term}, another replica had one of term ${before}`)
    }
    this.#committed[index] = term
    this.#checkEntry(node, entry)
    this.state(node, index, state)
  }

  /** The state of a replica that has applied everything up to `index`. */
  state(node: NodeId, index: LogIndex, state: number | undefined): void {
    if (state === undefined) return
    const before = this.#states[index]
    if (before !== undefined && before !== state) {
      this.#broken(
        'state machine safety',
        `the state of node ${node} after entry ${index} is ${state}, that of another replica was ${before}`,
      )
    }
    this.#states[index] = state
  }

  /** The disk of a node is gone, and what it had promised with it. */
  lost(node: NodeId): void {
    const log = this.#logs.get(node)
    if (log !== undefined) this.#lostLogs.set(node, log)
    this.#logs.delete(node)
    this.#seen.delete(node)
  }

  /** To be told after each event of a node what its replica says of itself. */
  status(node: NodeId, incarnation: number, status: GroupStatus): void {
    const before = this.#seen.get(node)
    const { term, commit, applied, conf } = status
    this.#lastIndex = Math.max(this.#lastIndex, status.lastIndex)
    if (applied > (this.#latestConf?.applied ?? 0)) this.#latestConf = { applied, conf }
    const leads = status.role === 'leader'
    const sameLife = before?.incarnation === incarnation
    if (sameLife && before.term === term && before.commit === commit && before.leads === leads) return
    if (before !== undefined && term < before.term && sameLife)
      this.#broken('monotonic', `the term of node ${node} went from ${before.term} to ${term}`)
    if (sameLife && commit < before.commit)
      this.#broken('monotonic', `the commit index of node ${node} went from ${before.commit} to ${commit}`)
    this.#seen.set(node, { incarnation, term, commit, leads })
    if (leads && !(sameLife && before.leads && before.term === term)) this.#checkLeader(node, term)
    if (commit > this.#commit) this.#checkCommit(node, status)
    if (leads) this.#checkMembership(node, status)
  }

  #checkKept(node: NodeId, before: ReplicaLog, now: ReplicaLog): void {
    const { term, vote, commit } = before.hardState
    const found = now.hardState
    if (found.term < term) this.#broken('monotonic', `node ${node} had term ${term}, and has term ${found.term} after a restart`)
    if (found.term === term && vote !== 0 && found.vote !== vote) {
      this.#broken('monotonic', `node ${node} had voted for ${vote} in term ${term}, and has voted for ${found.vote} after a restart`)
    }
    if (found.commit < commit) this.#broken('monotonic', `node ${node} had commit index ${commit}, and has ${found.commit} after a restart`)
    // A write that was under way may have replaced a suffix; then its entries are of a later term.
    for (let index = Math.max(before.start.index, now.start.index); index <= before.lastIndex; index++) {
      const kept = now.term(index)
      const was = before.term(index) as Term
      if (kept !== undefined && kept > was) return
      if (kept !== was) this.#broken('durability', `node ${node} had entry ${index} of term ${was}, and lacks it after a restart`)
    }
  }

  #checkVote(node: NodeId, { hardState: before }: ReplicaLog, { hardState: now }: GroupWrite): void {
    if (now === undefined) return
    if (now.term < before.term) this.#broken('monotonic', `node ${node} writes term ${now.term} after ${before.term}`)
    if (now.term === before.term && before.vote !== 0 && now.vote !== before.vote) {
      this.#broken('monotonic', `node ${node} votes for ${now.vote} in term ${now.term}, after it had voted for ${before.vote}`)
    }
    if (now.commit < before.commit) this.#broken('monotonic', `node ${node} writes commit index ${now.commit} after ${before.commit}`)
  }

  #checkEntry(node: NodeId, { index, term, kind, data }: Entry): void {
    const at = term * INDEX_SPAN + index
    const sum = crc32c(data) * 4 + (kind === 'normal' ? 0 : kind === 'conf' ? 1 : 2)
    const known = this.#sums.get(at)
    if (known !== undefined && known !== sum)
      this.#broken('log matching', `node ${node} has another entry ${index} of term ${term} than others had`)
    this.#sums.set(at, sum)
    const previous = this.#logs.get(node)?.term(index - 1)
    if (previous === undefined || this.#logs.get(node)?.term(index) !== term) return
    const expected = this.#previousTerms.get(at)
    if (expected !== undefined && expected !== previous) {
      this.#broken(
        'log matching',
        `before entry ${index} of term ${term}, node ${node} has one of term ${previous}, another replica had ${expected}`,
      )
    }
    this.#previousTerms.set(at, previous)
  }

  #checkLeader(node: NodeId, term: Term): void {
    const other = this.#leaders.get(term)
    if (other !== undefined && other !== node) this.#broken('election safety', `nodes ${other} and ${node} both led in term ${term}`)
    this.#leaders.set(term, node)
  }

  /**
   * The first entry of a leader's own term is durable there, and so is the log before it. Earlier it may be durable only on those who elected it: a
   * candidate asks for votes while its last entries are being written.
   */
  #checkComplete(node: NodeId, log: ReplicaLog, term: Term): void {
    if (this.#leaders.get(term) !== node || this.#complete.has(term)) return
    this.#complete.add(term)
    const step = this.#commits.findLast((earlier) => earlier.term < term)
    const held = step === undefined ? undefined : this.#committed[step.index]
    if (step !== undefined && held !== undefined && !log.holds(step.index, held)) {
      this.#broken(
        'leader completeness',
        `node ${node} leads in term ${term} without entry ${step.index} of term ${held}, which was committed`,
      )
    }
  }

  /** A leader commits by counting only what is of its own term (R20). Whoever shows it first, it must be durable on a quorum by then (R6). */
  #checkCommit(node: NodeId, { commit, conf, term, role }: GroupStatus): void {
    const entryTerm = role === 'leader' ? term : this.#termOnMost(commit)
    for (const half of [conf.voters, conf.outgoing]) {
      const holders = half.filter((voter) => (this.#logs.get(voter) ?? this.#lostLogs.get(voter))?.holds(commit, entryTerm))
      if (half.length > 0 && holders.length * 2 <= half.length) {
        const text = `node ${node}, ${role} of term ${term}, has committed entry ${commit}, which is durable only on ${holders.join(', ') || 'none'} of ${half.join(', ')}`
        this.#broken('commit', text)
      }
    }
    if (role === 'leader') this.#established.add(term)
    this.#commit = commit
    this.#committed[commit] ??= entryTerm
    const last = this.#commits.at(-1)
    if (last?.term === term) this.#commits.pop()
    if (last === undefined || last.term <= term) this.#commits.push({ term, index: commit })
  }

  #termOnMost(index: LogIndex): Term {
    const counts = new Map<Term, number>()
    for (const log of this.#logs.values()) {
      const term = log.term(index)
      if (term !== undefined) counts.set(term, (counts.get(term) ?? 0) + 1)
    }
    return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 0
  }

  #checkMembership(node: NodeId, { commit, term }: GroupStatus): void {
    const open = this.#logs.get(node)?.confChangesAbove(Math.max(commit, this.#commit)) ?? 0
    if (open > 1)
      this.#broken('membership', `node ${node}, leader of term ${term}, has ${open} changes of the membership that are not committed`)
  }

  /** A leader that does not know yet what was committed before it does not know the membership either. */
  #checkEstablished(node: NodeId, { index, term }: Entry): void {
    if (this.#leaders.get(term) === node && !this.#established.has(term))
      this.#broken(
        'membership',
        `node ${node}, leader of term ${term}, changes the membership in entry ${index} before it has committed anything`,
      )
  }

  #broken(invariant: Invariant, message: string): never {
    throw new InvariantBroken(invariant, `group ${this.#group}: ${message}`)
  }
}

/** Whether most of both halves of a configuration are in a set of nodes. */
export function isQuorum({ voters, outgoing }: ConfState, nodes: ReadonlySet<NodeId>): boolean {
  return [voters, outgoing].every((half) => half.length === 0 || half.filter((voter) => nodes.has(voter)).length * 2 > half.length)
}
