// SPDX-License-Identifier: Apache-2.0
// How the scripts write entries, configurations and messages.
import { assertNever } from '../../../src/base/assert.ts'
import { decodeConfChange } from '../../../src/raft/core/conf-change.ts'
import type { ConfState, Entry, Message } from '../../../src/raft/core/message.ts'

const OPERATORS = { addVoter: '+', addLearner: '~', remove: '-' } as const

export function describeEntry({ term, index, kind, data }: Entry): string {
  const change = kind === 'conf' ? decodeConfChange(data).map((operation) => OPERATORS[operation.kind] + operation.node) : []
  const text = kind === 'conf' ? change.join(' ') || 'leave' : kind === 'empty' ? 'empty' : data.toString().replaceAll('.', '')
  return `${term}:${index}(${text})`
}

export const describeEntries = (entries: readonly Entry[]): string => entries.map(describeEntry).join(' ') || 'no entries'

export function describeConf({ voters, learners, outgoing, learnersNext }: ConfState): string {
  const joint = outgoing.length === 0 ? '' : ` and ${outgoing}${learnersNext.length === 0 ? '' : ` (then learners ${learnersNext})`}`
  return `voters ${voters.length === 0 ? 'unknown' : voters}${joint}${learners.length === 0 ? '' : ` learners ${learners}`}`
}

export function describeMessage(message: Message): string {
  return `${message.from}>${message.to} ${describeContent(message)}, term ${message.term}`
}

function describeContent(message: Message): string {
  switch (message.kind) {
    case 'preVoteRequest':
      return `would I have your vote? my log ends at ${message.lastTerm}:${message.lastIndex}`
    case 'preVoteResponse':
      return message.granted ? 'you would' : `you would not; committed is ${message.commitTerm}:${message.commit}`
    case 'voteRequest':
      return `vote for me${message.transfer ? ', the leader says so' : ''}: my log ends at ${message.lastTerm}:${message.lastIndex}`
    case 'voteResponse':
      return message.granted ? 'my vote' : 'no vote'
    case 'appendRequest':
      return `after ${message.previousTerm}:${message.previousIndex} append ${describeEntries(message.entries)}, commit ${message.commit}`
    case 'appendResponse':
      return message.rejected
        ? `no entry ${message.index} of yours, try ${message.hintTerm}:${message.hintIndex}`
        : `have everything to ${message.index}`
    case 'heartbeatRequest':
      return `heartbeat, commit ${message.commit}, round ${message.readRound}`
    case 'heartbeatResponse':
      return `heard round ${message.readRound}`
    case 'snapshotOffer':
      return `snapshot to ${message.start.term}:${message.start.index}, ${describeConf(message.start.conf)}`
    case 'timeoutNow':
      return 'campaign now'
    case 'logLost':
      return `you have acknowledged everything to ${message.index}, and lost it`
    default:
      return assertNever(message)
  }
}
