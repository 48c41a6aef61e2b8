// SPDX-License-Identifier: Apache-2.0
// What a change of the membership is, its bytes in the log, and what it makes of a configuration (R32).

import { assert, must } from '#base/assert'
import { readUint64, writeUint64 } from '#base/bytes'
import { type ConfState, NODE_NONE, type NodeId } from './message.ts'

/** 'addLearner' of a voter takes its vote away; 'remove' is of either. */
export interface ConfOperation {
  readonly kind: 'addVoter' | 'addLearner' | 'remove'
  readonly node: NodeId
}

/** One operation on voters takes effect at once, several by joint consensus. The empty change ends a joint configuration. */
export type ConfChange = readonly ConfOperation[]

/** Ends a joint configuration. */
export const LEAVE_JOINT: ConfChange = []

const KINDS = ['addVoter', 'addLearner', 'remove'] as const

// change := operation*     operation := kind u8 | node u64
const OPERATION_BYTES = 9

export function encodeConfChange(change: ConfChange): Buffer {
  const bytes = Buffer.alloc(OPERATION_BYTES * change.length)
  let at = 0
  for (const { kind, node } of change) {
    bytes.writeUInt8(KINDS.indexOf(kind), at)
    writeUint64(bytes, node, at + 1)
    at += OPERATION_BYTES
  }
  return bytes
}

export function decodeConfChange(bytes: Buffer): ConfChange {
  assert(bytes.length % OPERATION_BYTES === 0, 'a change of the membership is a list of operations')
  const change: ConfOperation[] = []
  for (let at = 0; at < bytes.length; at += OPERATION_BYTES) {
    const kind = must(KINDS[bytes.readUInt8(at)], 'every operation on the membership is known')
    change.push({ kind, node: readUint64(bytes, at + 1) })
  }
  return change
}

export const isJoint = (conf: ConfState): boolean => conf.outgoing.length > 0

export const isMember = (conf: ConfState, node: NodeId): boolean =>
  conf.voters.includes(node) || conf.learners.includes(node) || conf.outgoing.includes(node)

/** Everybody, once, ascending. */
export const membersOf = (conf: ConfState): readonly NodeId[] => ascending(new Set([...conf.voters, ...conf.learners, ...conf.outgoing]))

/** The configuration after a change; undefined when it cannot be made, or changes nothing. */
export function changedConf(conf: ConfState, change: ConfChange): ConfState | undefined {
  if (change.length === 0) return isJoint(conf) ? leftJoint(conf) : undefined
  if (isJoint(conf)) return undefined
  const voters = new Set(conf.voters)
  const learners = new Set(conf.learners)
  const named = new Set<NodeId>()
  for (const { kind, node } of change) {
    if (named.has(node) || !Number.isSafeInteger(node) || node <= NODE_NONE) return undefined
    named.add(node)
    voters.delete(node)
    learners.delete(node)
    if (kind === 'addVoter') voters.add(node)
    if (kind === 'addLearner') learners.add(node)
  }
  const isFirst = conf.voters.length === 0
  // Somebody must remain who knows what was committed.
  if (voters.size === 0 || (!isFirst && conf.voters.every((voter) => !voters.has(voter)))) return undefined
  return isFirst || countChanged(conf.voters, voters) <= 1 ? simplyChanged(conf, voters, learners) : joint(conf, voters, learners)
}

function simplyChanged(conf: ConfState, voters: ReadonlySet<NodeId>, learners: ReadonlySet<NodeId>): ConfState | undefined {
  const changed = { voters: ascending(voters), learners: ascending(learners), outgoing: [], learnersNext: [] }
  return isSame(changed.voters, conf.voters) && isSame(changed.learners, conf.learners) ? undefined : changed
}

/** Old and new voters decide together. A voter that is to be a learner stays a voter of the old half until that ends. */
function joint(conf: ConfState, voters: ReadonlySet<NodeId>, learners: ReadonlySet<NodeId>): ConfState {
  return {
    voters: ascending(voters),
    learners: ascending([...learners].filter((node) => !conf.voters.includes(node))),
    outgoing: conf.voters,
    learnersNext: ascending([...learners].filter((node) => conf.voters.includes(node))),
  }
}

const leftJoint = ({ voters, learners, learnersNext }: ConfState): ConfState => ({
  voters,
  learners: ascending([...learners, ...learnersNext]),
  outgoing: [],
  learnersNext: [],
})

const countChanged = (before: readonly NodeId[], after: ReadonlySet<NodeId>): number =>
  before.filter((node) => !after.has(node)).length + [...after].filter((node) => !before.includes(node)).length

const isSame = (some: readonly NodeId[], others: readonly NodeId[]): boolean =>
  some.length === others.length && some.every((node, at) => node === others[at])

const ascending = (nodes: Iterable<NodeId>): readonly NodeId[] => [...nodes].sort((a, b) => a - b)
