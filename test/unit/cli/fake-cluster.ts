// SPDX-License-Identifier: Apache-2.0
// A cluster without consensus: what nodes answer to an operator, and groups whose leaders do what they are told, or fail as the test says.
import { must } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES, type ErrorCode } from '#base/error-code'
import type { Clock } from '#base/port/clock'
import type { ClusterAccess } from '#cli'
import type { MemberChange, MetaAdminClient, MetaGroupStatus, MetaMembers } from '#contract/client/meta-admin-client'

export interface FakeGroup {
  readonly group: number
  leader: number
  voters: number[]
  learners: number[]
  commit: number
}

/** Time passes when somebody waits. */
export class WaitingClock implements Clock {
  nowMs = 0
  readonly waits: (() => void)[] = []

  monotonic(): number {
    return this.nowMs
  }

  realtime(): number {
    return this.nowMs
  }

  after(delayMs: number, fire: () => void): { cancel(): void } {
    this.nowMs += delayMs
    for (const wait of this.waits.splice(0)) wait()
    queueMicrotask(fire)
    return { cancel: () => undefined }
  }

  endOfTurn(fire: () => void): void {
    queueMicrotask(fire)
  }
}

export class FakeCluster implements ClusterAccess {
  readonly groups: FakeGroup[]
  readonly addresses = new Map<number, string>()
  readonly versions = new Map<number, number>()
  readonly down = new Set<number>()
  /** Nodes that have just started: they answer, and know nothing of their groups. */
  readonly starting = new Set<number>()
  /** Of a node in all its groups; else it has applied all. */
  readonly applied = new Map<number, number>()
  /** What the next changes fail with. */
  readonly failures: ErrorCode[] = []
  /** In the order in which they were done. */
  readonly changes: string[] = []
  peers: ReadonlyMap<number, string> = new Map()

  constructor(voters: readonly number[], groups: readonly number[] = [1, 256]) {
    this.groups = groups.map((group) => ({
      group,
      leader: must(voters[0], 'there is a voter'),
      voters: [...voters],
      learners: [],
      commit: 10,
    }))
    for (const node of voters) {
      this.addresses.set(node, `h${node}:1`)
      this.versions.set(node, 1)
    }
  }

  setPeers(peers: ReadonlyMap<number, string>): void {
    this.peers = peers
  }

  admin(node: number): MetaAdminClient {
    return {
      status: () => this.#answer(node, () => this.groups.map((group) => this.#statusOf(node, group))),
      members: () => this.#answer(node, () => this.#members(node)),
      changeMembers: (group, change, whom) => this.#led(node, group, (of) => this.#change(of, change, whom)),
      transferLeadership: (group, to) =>
        this.#led(node, group, (of) => {
          of.leader = to
          this.changes.push(`transfer ${group} to ${to}`)
        }),
      setAddress: (whom, address) =>
        this.#answer(node, () => {
          this.addresses.set(whom, address)
          this.changes.push(`address ${whom} ${address}`)
        }),
      removeAddress: (whom) =>
        this.#answer(node, () => {
          this.addresses.delete(whom)
          this.changes.push(`no address ${whom}`)
        }),
    }
  }

  async #answer<T>(node: number, give: () => T): Promise<T> {
    await Promise.resolve()
    if (this.down.has(node) || !this.peers.has(node)) throw new PlatformError(ERROR_CODES.unreachable, `node ${node} is away`)
    return give()
  }

  #led(node: number, id: number, act: (group: FakeGroup) => void): Promise<void> {
    return this.#answer(node, () => {
      const group = must(
        this.groups.find(({ group: other }) => other === id),
        'the group exists',
      )
      if (group.leader !== node) throw new PlatformError(ERROR_CODES.notLeader, `group ${id} is not led by node ${node}`)
      const failure = this.failures.shift()
      if (failure !== undefined) throw new PlatformError(failure, 'as the test wants it')
      act(group)
    })
  }

  #change(group: FakeGroup, change: MemberChange, node: number): void {
    group.voters = group.voters.filter((voter) => voter !== node)
    group.learners = group.learners.filter((learner) => learner !== node)
    if (change === 'promote') group.voters.push(node)
    if (change === 'addLearner') group.learners.push(node)
    this.changes.push(`${change} ${group.group} ${node}`)
  }

  #statusOf(node: number, { group, leader, voters, learners, commit }: FakeGroup): MetaGroupStatus {
    if (this.starting.has(node)) return { group, role: 'follower', term: 0, leader: 0, commit: 0, applied: 0, voters: [], learners: [] }
    const applied = this.applied.get(node) ?? commit
    return { group, role: leader === node ? 'leader' : 'follower', term: 2, leader, commit, applied, voters, learners }
  }

  #members(node: number): MetaMembers {
    if (this.starting.has(node)) return { clusterVersion: 0, members: [] }
    const ids = [...new Set([...this.addresses.keys(), ...this.versions.keys()])].sort((a, b) => a - b)
    const members = ids.map((node) => ({ node, address: this.addresses.get(node) ?? '', programVersion: this.versions.get(node) ?? 0 }))
    return { clusterVersion: 1, members }
  }
}
