// SPDX-License-Identifier: Apache-2.0
// The commands of the scripts about several replicas. Each answers with what changed, one line for each replica, and what came out.
//   cluster voters=1,2,3 [learners=4] [spare=5] [inflight=N] [kept=BYTES]   a group that begins empty; a spare node has not heard of it
//   given N log=1,1,2 [term=T] [commit=I]     before anything else: the terms of the entries that N has
//   timeout N                                 N waits for a leader until it stands for election
//   campaign N                                N stands at once, without asking first
//   tick N [COUNT]
//   settle                                    everybody writes, applies and answers until all is quiet; no time passes
//   elect N                                   the others hear of no leader for an election timeout, N longer; then settle
//   write N | durable N | sync N | apply N    one step of that: taken to be written; is durable; both; one page is applied
//   deliver A>B [KIND] | drop A>B [KIND]      messages that are under way: all of them, or those of a kind
//   copy A>B [KIND] | late A>B                the network keeps copies, and delivers them later
//   cut A B ... | heal                        no two of these hear each other, unless joined by +: cut 1 2+3
//   propose N NAME | conf N +4 ~2 -1 | transfer N TO | read N | compact N INDEX | unreachable N OTHER
//   snapshot A>B | fail A>B                   the transfer of a snapshot that A owes B is done, or is not
//   crash N | behind N INDEX | restart N      behind: of the state machine only what is up to INDEX was durable
//   forget N INDEX                            the disk loses entries above INDEX that it had promised to keep
//   forgetful N                               whom N has found to have forgotten
//   queue | state
import assert from 'node:assert/strict'
import { type ConfChange, encodeConfChange } from '../../../src/raft/core/conf-change.ts'
import { LogLost } from '../../../src/raft/core/log-lost.ts'
import type { ConfState, Entry, Message, NodeId } from '../../../src/raft/core/message.ts'
import { CONF_NONE } from '../../../src/raft/core/message.ts'
import { type Disk, Member, NO_DISK } from '../../unit/raft/core/member.ts'
import { WIDE_LIMITS } from '../../unit/raft/core/replica.ts'
import { describeConf, describeEntries, describeMessage } from './describe.ts'

const TIMING = { electionTicks: 10, heartbeatTicks: 1 }

type Options = ReadonlyMap<string, string>
type Snapshot = Extract<Message, { kind: 'snapshotOffer' }>

export class ClusterPlayer {
  #members = new Map<NodeId, Member>()
  #network: Message[] = []
  #copies: Message[] = []
  /** Sets of nodes that hear only each other; empty when everybody hears everybody. */
  #islands: readonly (readonly NodeId[])[] = []
  #said: string[] = []

  /** Plays one command; its answer, one line for each thing that happened. */
  play(command: string): string {
    const words = command.split(' ')
    const options = new Map(words.filter((word) => word.includes('=')).map((word) => word.split('=') as [string, string]))
    this.#said = []
    let before = this.#states()
    this.#perform(words[0] ?? '', words.slice(1), options)
    if (words[0] === 'cluster') before = this.#states()
    for (const member of this.#up()) this.#collect(member)
    for (const [subject, state] of this.#states()) if (before.get(subject) !== state) this.#said.push(`${subject[0]} ${state}`)
    return this.#said.length === 0 ? 'ok' : this.#said.join('\n')
  }

  #perform(name: string, words: readonly string[], options: Options): void {
    const [first = '', second = ''] = words
    switch (name) {
      case 'cluster':
        this.#begin(options)
        return
      case 'given':
        this.#given(Number(first), options)
        return
      case 'deliver':
      case 'copy':
      case 'late':
      case 'drop':
        this.#carry(name, first, second)
        return
      case 'cut':
        this.#islands = words.map((island) => island.split('+').map(Number))
        return
      case 'heal':
        this.#islands = []
        return
      case 'settle':
        this.#settle()
        return
      case 'queue':
        for (const message of this.#network) this.#said.push(describeMessage(message))
        return
      case 'state':
        for (const [subject, state] of this.#states()) this.#said.push(`${subject[0]} ${state}`)
        return
      case 'snapshot':
      case 'fail':
        this.#transferSnapshot(first, name === 'snapshot')
        return
      default:
        this.#act(name, this.#member(Number(first)), words.slice(1))
        return
    }
  }

  #act(name: string, member: Member, words: readonly string[]): void {
    const [argument = ''] = words
    switch (name) {
      case 'timeout':
        this.#timeout(member)
        return
      case 'elect':
        for (const other of this.#up())
          if (other !== member && other.up.role === 'follower') for (let tick = 0; tick < TIMING.electionTicks; tick++) other.up.tick()
        this.#timeout(member)
        this.#settle()
        return
      case 'tick':
        for (let count = Number(argument || 1); count > 0; count--) member.up.tick()
        return
      case 'crash':
        member.crash(false)
        return
      case 'restart':
        member.start()
        return
      case 'behind':
        member.applied = member.applied.slice(0, Number(argument))
        return
      case 'forget':
        this.#forget(member, Number(argument))
        return
      case 'write': {
        const ready = member.write()
        this.#said.push(ready === undefined ? 'nothing to write' : `writes ${describeEntries(ready.entries)}`)
        return
      }
      case 'durable':
        if (member.isWriting) {
          member.written()
          return
        }
        this.#said.push('nothing is being written')
        return
      case 'sync':
        if (member.write() === undefined) this.#said.push('nothing to write')
        else member.written()
        return
      case 'apply':
        this.#said.push(`applies ${describeEntries(member.apply())}`)
        return
      default:
        this.#ask(name, member, words)
        return
    }
  }

  #ask(name: string, { up: core }: Member, words: readonly string[]): void {
    const [argument = ''] = words
    switch (name) {
      case 'campaign':
        core.campaign()
        return
      case 'propose':
        this.#sayRefused(core.propose(Buffer.from(argument)))
        return
      case 'conf':
        this.#sayRefused(core.proposeConf(words.map(confOperation)))
        return
      case 'read': {
        const outcome = core.readIndex()
        this.#said.push(outcome.kind === 'accepted' ? `read ${outcome.read} waits` : `refused: ${outcome.reason}`)
        return
      }
      case 'transfer':
        this.#said.push(core.transfer(Number(argument)))
        return
      case 'unreachable':
        core.unreachable(Number(argument))
        return
      case 'compact':
        core.compact(Number(argument))
        return
      case 'forgetful':
        this.#said.push(`has forgotten: ${core.takeForgetful().join(', ') || 'nobody'}`)
        return
      default:
        assert.fail(`no command is called ${name}`)
    }
  }

  #begin(options: Options): void {
    const list = (name: string): readonly NodeId[] => (options.get(name) ?? '').split(',').filter(Boolean).map(Number)
    const conf: ConfState = { ...CONF_NONE, voters: list('voters'), learners: list('learners') }
    const limits = {
      ...WIDE_LIMITS,
      inflightMessagesMax: Number(options.get('inflight') ?? WIDE_LIMITS.inflightMessagesMax),
      messageBytesMax: Number(options.get('message') ?? WIDE_LIMITS.messageBytesMax),
      trailingBytes: Number(options.get('kept') ?? 100_000),
    }
    const known = list('spare').length === 0 ? { ...NO_DISK, start: { ...NO_DISK.start, conf } } : bootstrapped(conf.voters)
    this.#members = new Map()
    this.#network = []
    this.#copies = []
    this.#islands = []
    for (const node of [...conf.voters, ...conf.learners, ...list('spare')]) {
      const isSpare = list('spare').includes(node)
      const member = new Member({ node, limits, timing: TIMING, random: (_min, max) => max }, isSpare ? NO_DISK : known)
      member.apply()
      this.#members.set(node, member)
    }
  }

  #given(node: NodeId, options: Options): void {
    const member = this.#member(node)
    const terms = (options.get('log') ?? '').split(',').filter(Boolean).map(Number)
    const entries = terms.map((term, at): Entry => ({ index: at + 1, term, kind: 'normal', data: Buffer.from(`${term}${at + 1}`) }))
    const term = Number(options.get('term') ?? terms.at(-1) ?? 0)
    const commit = Number(options.get('commit') ?? 0)
    member.disk = { ...member.disk, hardState: { term, vote: 0, commit }, entries }
    member.start()
  }

  /** Up to the moment at which it stands. */
  #timeout(member: Member): void {
    const { role } = member.up
    for (let count = 0; count < 2 * TIMING.electionTicks; count++) {
      member.up.tick()
      if (member.up.role !== role || member.up.hasOutput()) return
    }
  }

  #forget(member: Member, index: number): void {
    member.crash(false)
    const { disk } = member
    member.disk = {
      ...disk,
      hardState: { ...disk.hardState, commit: Math.min(disk.hardState.commit, index) },
      entries: member.stored(0, index + 1),
    }
    member.applied = member.applied.slice(0, index)
    member.start()
  }

  #carry(how: 'deliver' | 'copy' | 'late' | 'drop', link: string, kind: string): void {
    const [from, to] = link.split('>').map(Number)
    const isMeant = (message: Message): boolean =>
      message.from === from && message.to === to && (kind === '' || message.kind.toLowerCase().startsWith(kind.toLowerCase()))
    const meant = (how === 'late' ? this.#copies : this.#network).filter(isMeant)
    if (meant.length === 0) this.#said.push('no such message')
    if (how === 'copy') {
      this.#copies.push(...meant)
      return
    }
    if (how === 'late') this.#copies = this.#copies.filter((message) => !isMeant(message))
    else this.#network = this.#network.filter((message) => !isMeant(message))
    for (const message of meant) {
      this.#said.push(`${how === 'drop' ? 'lost: ' : ''}${describeMessage(message)}`)
      if (how !== 'drop') this.#step(message)
    }
  }

  /** A replica that learns that it has lost log is at its end. */
  #step(message: Message): void {
    const member = this.#member(message.to)
    if (member.core === undefined) return
    try {
      member.step(message)
    } catch (error) {
      if (!(error instanceof LogLost)) throw error
      this.#said.push(`${message.to} ends: it has acknowledged everything to ${error.acknowledged}, and its log ends at ${error.found}`)
      member.crash(false)
    }
  }

  #transferSnapshot(link: string, isDone: boolean): void {
    const [from = 0, to = 0] = link.split('>').map(Number)
    const { up: core, snapshotsTo, applied } = this.#member(from)
    assert.ok(snapshotsTo.includes(to), `node ${from} owes node ${to} a snapshot`)
    snapshotsTo.splice(snapshotsTo.indexOf(to), 1)
    if (!isDone) {
      core.snapshotDone(to, undefined)
      return
    }
    const start = core.startAt(core.applied)
    assert.ok(start)
    const offer: Snapshot = { kind: 'snapshotOffer', from, to, term: core.term, start, formatVersion: 0 }
    const receiver = this.#member(to)
    this.#said.push(receiver.up.wouldInstall(start.index, start.term) ? describeMessage(offer) : `${describeMessage(offer)}: not wanted`)
    receiver.receive(offer, applied)
    core.snapshotDone(to, start.index)
  }

  #settle(): void {
    for (let quiet = false; !quiet; ) {
      quiet = true
      for (const member of this.#up()) if (this.#finish(member)) quiet = false
      for (const message of this.#network.splice(0)) {
        if (this.#isCut(message.from, message.to)) continue
        this.#step(message)
        quiet = false
      }
    }
  }

  /** Whether there was anything to do. */
  #finish(member: Member): boolean {
    let isBusy = false
    this.#collect(member)
    // A write that the story has begun, the story ends.
    if (!member.isWriting && member.write() !== undefined) {
      member.written()
      isBusy = true
    }
    while (member.apply().length > 0) isBusy = true
    this.#collect(member)
    return isBusy
  }

  #collect(member: Member): void {
    member.collect()
    while (member.loads.length > 0) {
      for (const { to, from, end } of member.loads.splice(0)) member.up.loaded(to, member.stored(from, end))
      member.collect()
    }
    this.#network.push(...member.sent.splice(0))
    for (const { read, kind } of member.up.takeReads())
      this.#said.push(`read ${read} at ${member.node}: ${kind}, sees entry ${member.applied.length}`)
  }

  #isCut(from: NodeId, to: NodeId): boolean {
    if (this.#member(to).core === undefined) return true
    return this.#islands.length > 0 && !this.#islands.some((island) => island.includes(from) && island.includes(to))
  }

  #member(node: NodeId): Member {
    const member = this.#members.get(node)
    assert.ok(member, `node ${node} belongs to the story`)
    return member
  }

  #up(): readonly Member[] {
    return [...this.#members.values()].filter(({ core }) => core !== undefined)
  }

  #sayRefused(outcome: { readonly kind: 'appended' } | { readonly kind: 'refused'; readonly reason: string }): void {
    if (outcome.kind === 'refused') this.#said.push(`refused: ${outcome.reason}`)
  }

  /** By node, and what it knows of the membership beside. */
  #states(): ReadonlyMap<string, string> {
    const states = new Map<string, string>()
    for (const [node, member] of this.#members) {
      states.set(`${node}`, stateOf(member))
      if (member.core !== undefined) states.set(`${node} conf`, describeConf(member.core.conf))
    }
    return states
  }
}

/** Who joins later learns the first voters from the log. */
function bootstrapped(voters: readonly NodeId[]): Disk {
  const data = encodeConfChange(voters.map((node) => ({ kind: 'addVoter', node })))
  return { ...NO_DISK, hardState: { term: 1, vote: 0, commit: 1 }, entries: [{ index: 1, term: 1, kind: 'conf', data }] }
}

function stateOf({ core, disk, snapshotsTo }: Member): string {
  if (core === undefined) return 'is down'
  const { role, term, commit, applied, lastIndex } = core
  const first = disk.start.index
  const terms = Array.from({ length: lastIndex }, (_, at) => core.termAt(at + 1)).filter((each) => each !== undefined)
  const log = `${first > 0 ? `after ${first}: ` : ''}${terms.join(' ') || '-'}`
  const owed = snapshotsTo.length > 0 ? `, owes a snapshot to ${snapshotsTo.join(', ')}` : ''
  return `${role} in term ${term} | ${log} | commit ${commit}${applied < commit ? `, applied ${applied}` : ''}${owed}`
}

function confOperation(word: string): ConfChange[number] {
  const kinds: Readonly<Record<string, ConfChange[number]['kind']>> = { '+': 'addVoter', '~': 'addLearner', '-': 'remove' }
  const kind = kinds[word[0] ?? '']
  assert.ok(kind, `${word} is an operation on the membership`)
  return { kind, node: Number(word.slice(1)) }
}
