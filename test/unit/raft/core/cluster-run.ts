// SPDX-License-Identifier: Apache-2.0
// A cluster of cores in a network that loses, delays, repeats and reorders, with disks that lose what was not synced, and an observer who knows
// everything. What happens is drawn from a seed.
import assert from 'node:assert/strict'
import { type ConfChange, encodeConfChange } from '../../../../src/raft/core/conf-change.ts'
import type { Entry, LogIndex, Message, NodeId, Term } from '../../../../src/raft/core/message.ts'
import type { RaftLimits } from '../../../../src/raft/core/raft-core.ts'
import { Member, NO_DISK } from './member.ts'

const LIMITS: RaftLimits = {
  uncommittedBytesMax: 1000,
  windowBytesMax: 1000,
  trailingBytes: 300,
  readsMax: 8,
  messageBytesMax: 200,
  inflightMessagesMax: 3,
  inflightBytesMax: 500,
}
const TIMING = { electionTicks: 5, heartbeatTicks: 1 }
const NODES = [1, 2, 3, 4, 5]
const MESSAGES_MAX = 60

/** A small generator of numbers that depend on the seed alone (mulberry32). */
export function randomOf(seed: number): (min: number, max: number) => number {
  let state = seed
  return (min, max) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return min + (((mixed ^ (mixed >>> 14)) >>> 0) % (max - min + 1))
  }
}

interface OpenRead {
  /** The highest index that was committed anywhere when the read arrived. */
  readonly index: LogIndex
}

export class ClusterRun {
  readonly #random: (min: number, max: number) => number
  readonly members: readonly Member[]
  #network: Message[] = []
  #snapshots: { readonly offer: Extract<Message, { kind: 'snapshotOffer' }>; readonly state: readonly Entry[] }[] = []
  /** Pairs that cannot hear each other. */
  readonly #cut = new Set<string>()
  /** Every entry that was ever applied anywhere. */
  readonly committed: Entry[] = []
  readonly #leaders = new Map<Term, NodeId>()
  readonly #reads = new Map<string, OpenRead>()
  readonly #commits = new Map<NodeId, LogIndex>()
  #commitMax = 0
  #proposed = 0
  readonly seen = { leaders: 0, snapshots: 0, confs: 0, reads: 0, transfers: 0, crashes: 0 }

  constructor(seed: number) {
    this.#random = randomOf(seed)
    const first: Entry = { index: 1, term: 1, kind: 'conf', data: encodeConfChange([1, 2, 3].map((node) => ({ kind: 'addVoter', node }))) }
    const known = { ...NO_DISK, hardState: { term: 1, vote: 0, commit: 1 }, entries: [first] }
    this.members = NODES.map(
      (node) => new Member({ node, limits: LIMITS, timing: TIMING, random: this.#random }, node <= 3 ? known : NO_DISK),
    )
  }

  /** One thing happens. */
  act(): void {
    const member = this.#pick(this.members)
    const dice = this.#random(0, 99)
    if (member.core === undefined) {
      if (dice < 30) this.#restart(member)
    } else if (dice < 20) member.core.tick()
    else if (dice < 28) this.#propose(member)
    else if (dice < 32) this.#write(member)
    else if (dice < 36) this.#read(member)
    else if (dice < 38) this.#changeMembers(member)
    else if (dice < 39) this.#transfer(member)
    else if (dice < 41) member.core.compact(this.#random(0, member.core.applied))
    else if (dice < 42) this.#sometimesCrash(member)
    else if (dice < 44) member.core.unreachable(this.#pick(NODES))
    else if (dice < 45) this.#cutOrHeal()
    else if (dice < 50) this.#answerLoad(member)
    else if (dice < 55) this.#sendSnapshot(member)
    else if (dice < 58) this.#receiveSnapshot()
    else if (dice < 70) this.#write(member)
    else if (dice < 76) this.#apply(member)
    else for (let count = 0; count < 4; count++) this.#deliver()
    this.#look(member)
    this.check()
  }

  /** Everybody is up and hears everybody: within so many turns a new command must be applied by all members. */
  heal(turns: number): void {
    this.#cut.clear()
    for (const member of this.members) if (member.core === undefined) this.#restart(member)
    const before = this.#proposed
    for (let turn = 0; turn < turns; turn++) {
      for (const member of this.members) {
        member.up.tick()
        if (turn % 40 === 39 || this.#proposed === before) this.#propose(member)
      }
      this.#settle()
      if (this.#proposed > before && this.#isConverged()) return
    }
    assert.fail(`no progress: ${this.members.map((member) => this.describe(member)).join('; ')}`)
  }

  describe({ node, core }: Member): string {
    if (core === undefined) return `${node} down`
    const { voters, outgoing, learners } = core.conf
    return `${node} ${core.role} term ${core.term} leader ${core.leader} applied ${core.applied} commit ${core.commit} last ${core.lastIndex} voters ${voters}/${outgoing} learners ${learners}`
  }

  /** Whatever happens, these hold. */
  check(): void {
    for (const member of this.members) {
      const { core, node } = member
      if (core === undefined) continue
      if (core.role === 'leader') this.#checkLeader(member)
      if (core.commit > (this.#commits.get(node) ?? 0)) {
        if (core.role === 'leader') this.#checkQuorum(member)
        this.#commits.set(node, core.commit)
      }
      for (const { read, kind } of core.takeReads()) this.#checkRead(member, `${node}:${read}`, kind)
    }
  }

  #checkLeader({ node, up: core }: Member): void {
    const leader = this.#leaders.get(core.term)
    if (leader === node) return
    assert.equal(leader, undefined, `term ${core.term} has one leader: not both ${leader} and ${node} (election safety)`)
    this.#leaders.set(core.term, node)
    this.seen.leaders++
    for (const { index, term } of this.committed) {
      const own = this.#termOf(node, index)
      assert.ok(own === undefined || own === term, `the leader of term ${core.term} has entry ${term}:${index} (leader completeness)`)
    }
    assert.ok(core.lastIndex >= this.committed.length, `the leader of term ${core.term} has everything that was committed`)
  }

  #checkQuorum({ node, up: core }: Member): void {
    const index = core.commit
    // A leader commits by counting only what is of its own term (R20).
    const { term } = core
    const isDurable = (voter: NodeId): boolean => {
      const disk = this.#member(voter)
      return disk.disk.start.index >= index || disk.durableTerm(index) === term
    }
    for (const voters of [core.conf.voters, core.conf.outgoing]) {
      const count = voters.filter(isDurable).length
      assert.ok(
        voters.length === 0 || count * 2 > voters.length,
        `entry ${index} is committed by ${node} and durable on ${count} of ${voters}`,
      )
    }
    this.#commitMax = Math.max(this.#commitMax, index)
  }

  #checkRead(member: Member, key: string, kind: 'servable' | 'lost'): void {
    const read = this.#reads.get(key)
    assert.ok(read, 'every read is decided once')
    this.#reads.delete(key)
    if (kind === 'lost') return
    this.seen.reads++
    assert.ok(
      member.applied.length >= read.index,
      `a read sees entry ${read.index}, which was committed before it, at ${member.applied.length}`,
    )
  }

  #checkApplied(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const first = this.committed[entry.index - 1]
      if (first === undefined) {
        assert.equal(entry.index, this.committed.length + 1)
        this.committed.push(entry)
        if (entry.kind === 'conf') this.seen.confs++
      } else
        assert.ok(
          first.term === entry.term && first.data.equals(entry.data),
          `entry ${entry.index} is the same everywhere (state machine safety)`,
        )
    }
  }

  #termOf(node: NodeId, index: LogIndex): Term | undefined {
    const member = this.#member(node)
    return member.up.startAt(index)?.term ?? member.durableTerm(index)
  }

  #member(node: NodeId): Member {
    return this.members[node - 1] as Member
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random(0, from.length - 1)] as T
  }

  #propose({ core }: Member): void {
    if (core?.propose(Buffer.from(`command ${this.#proposed + 1}`)).kind === 'appended') this.#proposed++
  }

  #read({ node, up: core }: Member): void {
    const outcome = core.readIndex()
    if (outcome.kind === 'accepted') this.#reads.set(`${node}:${outcome.read}`, { index: this.#commitMax })
  }

  #changeMembers({ up: core }: Member): void {
    const change: ConfChange = Array.from({ length: this.#random(1, 3) }, () => ({
      kind: this.#pick(['addVoter', 'addLearner', 'remove', 'addVoter'] as const),
      node: this.#pick(NODES),
    }))
    core.proposeConf(change)
  }

  #transfer({ up: core }: Member): void {
    if (core.transfer(this.#pick(NODES)) === 'started') this.seen.transfers++
  }

  #sometimesCrash(member: Member): void {
    if (this.#random(0, 3) > 0) return
    this.seen.crashes++
    for (const key of [...this.#reads.keys()]) if (key.startsWith(`${member.node}:`)) this.#reads.delete(key)
    member.crash(this.#random(0, 1) === 0)
    // The state machine is durable up to anywhere at or after the start of the log.
    member.applied = member.applied.slice(0, this.#random(member.disk.start.index, member.applied.length))
  }

  #restart(member: Member): void {
    this.#commits.delete(member.node)
    member.start()
  }

  #cutOrHeal(): void {
    if (this.#random(0, 2) === 0) this.#cut.clear()
    else this.#cut.add(`${this.#pick(NODES)} ${this.#pick(NODES)}`)
  }

  #isCut(from: NodeId, to: NodeId): boolean {
    return this.#cut.has(`${from} ${to}`) || this.#cut.has(`${to} ${from}`) || this.#member(to).core === undefined
  }

  #write(member: Member): void {
    if (member.isWriting) member.written()
    else member.write()
  }

  #apply(member: Member): void {
    this.#checkApplied(member.apply(this.#random(1, 300)))
  }

  #answerLoad(member: Member): void {
    const load = member.loads.shift()
    if (load === undefined) return
    const entries = member.stored(load.from, Math.min(load.end, load.from + this.#random(1, 3)))
    if (entries[0]?.index !== load.from || this.#random(0, 5) === 0) member.up.loadFailed(load.to)
    else member.up.loaded(load.to, entries)
  }

  #sendSnapshot(member: Member): void {
    const to = member.snapshotsTo.shift()
    const { up: core } = member
    if (to === undefined) return
    const start = core.startAt(core.applied)
    if (core.role !== 'leader' || start === undefined || this.#random(0, 3) === 0) {
      core.snapshotDone(to, undefined)
      return
    }
    const offer = { kind: 'snapshotOffer', from: member.node, to, term: core.term, start, formatVersion: 0 } as const
    this.#snapshots.push({ offer, state: member.applied })
  }

  #receiveSnapshot(): void {
    const snapshot = this.#snapshots.shift()
    if (snapshot === undefined) return
    const { offer, state } = snapshot
    const sender = this.#member(offer.from).core
    if (this.#isCut(offer.from, offer.to) || this.#random(0, 5) === 0) {
      sender?.snapshotDone(offer.to, undefined)
      return
    }
    const receiver = this.#member(offer.to)
    if (receiver.up.wouldInstall(offer.start.index, offer.start.term)) this.seen.snapshots++
    receiver.receive(offer, state)
    sender?.snapshotDone(offer.to, offer.start.index)
  }

  #deliver(): void {
    if (this.#network.length === 0) return
    const at = this.#random(0, 2) === 0 ? this.#random(0, this.#network.length - 1) : 0
    const message = this.#network[at] as Message
    // One in ten is delivered again later.
    if (this.#random(0, 9) > 0) this.#network.splice(at, 1)
    if (this.#isCut(message.from, message.to) || this.#random(0, 14) === 0) return
    const receiver = this.#member(message.to)
    receiver.step(message)
    this.#look(receiver)
  }

  #look(member: Member): void {
    if (member.core === undefined) return
    member.collect()
    this.#network.push(...member.sent.splice(0))
    if (this.#network.length > MESSAGES_MAX) this.#network.splice(0, this.#network.length - MESSAGES_MAX)
  }

  #settle(): void {
    for (let quiet = false; !quiet; ) {
      quiet = true
      for (const member of this.members) {
        this.#look(member)
        while (member.loads.length > 0) this.#answerLoad(member)
        while (member.snapshotsTo.length > 0) this.#sendSnapshot(member)
        if (member.isWriting || member.write() !== undefined) {
          member.written()
          this.check()
          quiet = false
        }
        for (let entries = member.apply(); entries.length > 0; entries = member.apply()) this.#checkApplied(entries)
        this.#look(member)
        this.check()
      }
      while (this.#snapshots.length > 0) this.#receiveSnapshot()
      for (const message of this.#network.splice(0)) {
        this.#member(message.to).step(message)
        this.check()
        quiet = false
      }
    }
  }

  #isConverged(): boolean {
    const leader = this.members.find(({ core }) => core?.role === 'leader')?.core
    if (leader === undefined || leader.conf.outgoing.length > 0) return false
    const members = this.members.filter(({ node }) => leader.conf.voters.includes(node) || leader.conf.learners.includes(node))
    return members.every(({ core }) => core?.applied === leader.lastIndex)
  }
}
