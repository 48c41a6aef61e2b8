// SPDX-License-Identifier: Apache-2.0
// The commands of the raft scripts. Each answers with what changed and what came out, one line each.
//   new [uncommitted=BYTES] [reads=COUNT]   a new group of which node 1 is the only voter
//   lead                                    elected, and the first entry of the term is applied
//   tick | campaign | propose NAME [bytes=N] | read | compact INDEX | state
//   step KIND from=NODE term=TERM           a message from elsewhere
//   write                                   takes what is ready; the disk is busy with it
//   durable                                 the disk has it, and the core is told
//   stored                                  the disk has it, and the core is not told
//   apply [bytes=N]                         applies one page
//   reads                                   the reads that are decided
//   restart                                 the process ends and begins again
import assert from 'node:assert/strict'
import type { Message } from '../../../src/raft/core/message.ts'
import type { Ready } from '../../../src/raft/core/ready.ts'
import { Replica, WIDE_LIMITS } from '../../unit/raft/core/replica.ts'
import { describeEntry } from './describe.ts'

type Options = ReadonlyMap<string, number>

interface Marks {
  readonly role: string
  readonly term: number
  readonly stable: number
  readonly commit: number
  readonly applied: number
}

export class Player {
  #replica = new Replica()

  /** Plays one command; its answer, one line for each thing that happened. */
  play(command: string): string {
    const words = command.split(' ')
    const options = new Map(
      words.filter((word) => word.includes('=')).map((word) => [word.split('=')[0] ?? '', Number(word.split('=')[1])]),
    )
    const before = this.#marks()
    const answers = this.#perform(words[0] ?? '', words[1] ?? '', options)
    const changes = words[0] === 'new' || words[0] === 'restart' ? [this.#state()] : this.#changes(before)
    const lines = [...answers, ...changes]
    return lines.length === 0 ? 'ok' : lines.join('\n')
  }

  #perform(name: string, argument: string, options: Options): readonly string[] {
    const replica = this.#replica
    const { core } = replica
    switch (name) {
      case 'new':
        this.#replica = new Replica({
          ...WIDE_LIMITS,
          uncommittedBytesMax: options.get('uncommitted') ?? WIDE_LIMITS.uncommittedBytesMax,
          readsMax: options.get('reads') ?? WIDE_LIMITS.readsMax,
        })
        return []
      case 'lead':
        core.tick()
        replica.settle()
        replica.apply()
        return []
      case 'tick':
        core.tick()
        return []
      case 'campaign':
        core.campaign()
        return []
      case 'propose':
        return this.#propose(argument, options.get('bytes') ?? argument.length)
      case 'read': {
        const outcome = core.readIndex()
        return [outcome.kind === 'accepted' ? `read ${outcome.read} waits` : `refused: ${outcome.reason}`]
      }
      case 'reads':
        return core.takeReads().map(({ read, kind }) => `read ${read} ${kind}`)
      case 'compact':
        return [core.compact(Number(argument)) ? `log begins after ${argument}` : 'nothing to drop']
      case 'step':
        core.step(message(argument, options.get('from') ?? 0, options.get('term') ?? 0))
        return []
      case 'write':
        return core.hasReady() ? describeReady(replica.take()) : ['nothing to write']
      case 'durable':
        replica.store()
        replica.acknowledge()
        return []
      case 'stored':
        replica.store()
        return []
      case 'apply': {
        const entries = replica.apply(options.get('bytes'))
        return [entries.length === 0 ? 'nothing to apply' : `apply ${entries.map(describeEntry).join(' ')}`]
      }
      case 'restart':
        replica.restart()
        return []
      case 'state':
        return [this.#state()]
      default:
        return assert.fail(`no command is called ${name}`)
    }
  }

  #propose(name: string, bytes: number): readonly string[] {
    const outcome = this.#replica.core.propose(Buffer.from(name.padEnd(bytes, '.')))
    return [outcome.kind === 'appended' ? `appended ${outcome.term}:${outcome.index}` : `refused: ${outcome.reason}`]
  }

  #changes(before: Marks): readonly string[] {
    const now = this.#marks()
    const changes: string[] = []
    if (now.role !== before.role || now.term !== before.term) changes.push(`${before.role} -> ${now.role}, term ${now.term}`)
    if (now.stable !== before.stable) changes.push(`durable ${before.stable} -> ${now.stable}`)
    if (now.commit !== before.commit) changes.push(`commit ${before.commit} -> ${now.commit}`)
    if (now.applied !== before.applied) changes.push(`applied ${before.applied} -> ${now.applied}`)
    return changes
  }

  #marks(): Marks {
    const { role, term, stableIndex, commit, applied } = this.#replica.core
    return { role, term, stable: stableIndex, commit, applied }
  }

  #state(): string {
    const { role, term, commit, applied, lastIndex } = this.#replica.core
    return `${role}, term ${term}, applied ${applied}, commit ${commit}, last ${lastIndex}; log after ${this.#replica.start.index}`
  }
}

function message(kind: string, from: number, term: number): Message {
  switch (kind) {
    case 'voteRequest':
      return { kind, from, to: 1, term, lastIndex: 0, lastTerm: 0, transfer: false }
    case 'appendResponse':
      return { kind, from, to: 1, term, index: 1, rejected: false, hintIndex: 0, hintTerm: 0, sequence: 0 }
    case 'voteResponse':
      return { kind, from, to: 1, term, granted: true }
    case 'heartbeatRequest':
      return { kind, from, to: 1, term, commit: 0, commitTerm: 0, readRound: 0 }
    default:
      return assert.fail(`no message is called ${kind}`)
  }
}

function describeReady(ready: Ready): readonly string[] {
  const { hardState, start, entries, messagesAfterPersist, mustSync } = ready
  const lines: string[] = []
  if (entries.length > 0) lines.push(`entries ${entries.map(describeEntry).join(' ')}`)
  if (hardState !== undefined) lines.push(`term ${hardState.term}, vote ${hardState.vote}, commit ${hardState.commit}`)
  if (start !== undefined) lines.push(`log begins after ${start.term}:${start.index}`)
  lines.push(mustSync ? 'sync' : 'no sync')
  for (const { kind, to } of messagesAfterPersist) lines.push(`then ${kind} to ${to}`)
  return lines
}
