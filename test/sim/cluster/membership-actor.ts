// SPDX-License-Identifier: Apache-2.0
// The operator of a cluster: gives the places of ruined nodes to new ones, changes the membership and moves leadership meanwhile, one thing at a time.
import { must } from '#base/assert'
import type { ConfChange, ConfState, NodeId } from '#raft'
import type { SimRandom } from '../random.ts'
import type { Cluster, RegisterNode } from './cluster.ts'

/** More than so many machines have never been members of one cluster. */
const MACHINES_MAX = 24
const MEMBERS_MAX = 7

export interface MembershipPeriods {
  /** Absent: only what is ruined is replaced. */
  readonly membershipMs: number | undefined
  readonly transferMs: number | undefined
}

const REPAIR_MS = 1_000
/** Of changes that are asked for twice at once. */
const HASTY_RATIO = 0.3

export class MembershipActor {
  readonly #cluster: Cluster
  readonly #random: SimRandom
  readonly #periods: MembershipPeriods
  readonly #hasty: SimRandom
  #calls = 0
  #changes = 0
  #settling = false
  #stopped = false
  /** Started for a place that it does not have yet. */
  #spare: RegisterNode | undefined

  constructor(cluster: Cluster, random: SimRandom, periods: MembershipPeriods) {
    this.#cluster = cluster
    this.#random = random
    this.#periods = periods
    this.#hasty = random.stream('hasty')
    this.#again(periods.membershipMs ?? REPAIR_MS)
    if (periods.transferMs !== undefined) this.#transferLater(periods.transferMs)
  }

  /** Changes that were made. */
  get changes(): number {
    return this.#changes
  }

  /** Makes no changes but those that are necessary. */
  settle(): void {
    this.#settling = true
    // What it had in mind to do may be far away.
    this.#again(REPAIR_MS)
  }

  /** Changes nothing any more. */
  stop(): void {
    this.#stopped = true
  }

  /** No change is under way, no member is ruined, and all know it: one that does not still needs the voters of before to be elected. */
  get settled(): boolean {
    const { conf, commit } = this.#view() ?? {}
    if (conf === undefined || this.#cluster.membershipOpen || commit !== this.#cluster.checker.commit) return false
    return conf.outgoing.length === 0 && this.#members(conf).every((id) => this.#cluster.knows(id, conf))
  }

  #view(): { readonly leader: RegisterNode; readonly conf: ConfState; readonly commit: number } | undefined {
    const leader = this.#cluster.leader()
    const status = leader === undefined ? undefined : this.#cluster.statusOf(leader)
    if (leader === undefined || status === undefined) return undefined
    return { leader, conf: status.conf, commit: status.commit }
  }

  #again(periodMs: number): void {
    const settling = this.#settling
    this.#cluster.world.schedule('fault', undefined, this.#random.delayMs(periodMs), () => {
      if (this.#stopped || settling !== this.#settling) return
      this.#retireRemoved()
      const view = this.#view()
      const change = view === undefined || this.#calls > 0 || view.conf.outgoing.length > 0 ? undefined : this.#draw(view.conf)
      if (view !== undefined && change !== undefined) this.#change(view.leader, change)
      if (view !== undefined && change !== undefined && this.#hasty.chance(HASTY_RATIO)) this.#changeToo(view.leader, view.conf)
      this.#again(this.#settling ? REPAIR_MS : (this.#periods.membershipMs ?? REPAIR_MS))
    })
  }

  #transferLater(periodMs: number): void {
    this.#cluster.world.schedule('fault', undefined, this.#random.delayMs(periodMs), () => {
      if (this.#settling) return
      const view = this.#view()
      const to = view === undefined ? undefined : this.#random.pick(view.conf.voters)
      if (view !== undefined && to !== undefined && to !== view.leader.id) this.#transfer(view.leader, to)
      this.#transferLater(periodMs)
    })
  }

  #transfer(leader: RegisterNode, to: NodeId): void {
    this.#cluster.world.schedule('client', leader.life, 0, () => {
      leader.note(`is asked to hand over to node ${to}`)
      leader.program?.group.transferLeadership(to).catch(() => {})
    })
  }

  /** What is ruined goes first; else something that leaves most of the members sound. */
  #draw(conf: ConfState): ConfChange | undefined {
    const members = this.#members(conf)
    const ruined = members.find((id) => this.#cluster.node(id)?.ruined)
    const learner = conf.learners.find((id) => this.#isCaughtUp(id))
    if (ruined !== undefined) {
      if (!conf.voters.includes(ruined)) return [{ kind: 'remove', node: ruined }]
      if (learner !== undefined && this.#random.chance(0.5))
        return [
          { kind: 'addVoter', node: learner },
          { kind: 'remove', node: ruined },
        ]
      if (conf.voters.length > 1 && this.#random.chance(0.3)) return [{ kind: 'remove', node: ruined }]
      return learner === undefined ? this.#addLearner(members) : [{ kind: 'addVoter', node: learner }]
    }
    if (this.#settling || this.#periods.membershipMs === undefined) {
      // With fewer voters than it began with, a cluster stands less.
      if (conf.voters.length >= this.#cluster.configuration.voters) return undefined
      return learner === undefined ? this.#addLearner(members) : [{ kind: 'addVoter', node: learner }]
    }
    return this.#drawFreely(conf, members, learner)
  }

  #drawFreely(conf: ConfState, members: readonly NodeId[], learner: NodeId | undefined): ConfChange | undefined {
    const { voters } = conf
    // One of them may be found damaged when it starts: the others are needed then.
    if (!voters.every((id) => this.#cluster.node(id)?.sound)) return undefined
    const voter = this.#random.pick(voters)
    const canLeave = voters.length > 2
    switch (this.#random.range(0, 5)) {
      case 0:
        return this.#addLearner(members)
      case 1:
        return learner === undefined ? this.#addLearner(members) : [{ kind: 'addVoter', node: learner }]
      case 2:
        return canLeave ? [{ kind: 'addLearner', node: voter }] : undefined
      case 3:
        return canLeave || members.length > MEMBERS_MAX - 2 ? [{ kind: 'remove', node: voter }] : undefined
      case 4:
        // A joint change.
        return learner === undefined
          ? undefined
          : [
              { kind: 'addVoter', node: learner },
              { kind: 'remove', node: voter },
            ]
      default:
        return learner === undefined
          ? undefined
          : [
              { kind: 'addVoter', node: learner },
              { kind: 'addLearner', node: voter },
            ]
    }
  }

  /** A second change before the first is made: it must be refused (R32), or wait its turn. A learner is no danger to anybody, however that ends. */
  #changeToo(leader: RegisterNode, conf: ConfState): void {
    const second = this.#addLearner(this.#members(conf))
    if (second !== undefined) this.#change(leader, second)
  }

  #addLearner(members: readonly NodeId[]): ConfChange | undefined {
    if (members.length >= MEMBERS_MAX) return undefined
    if (this.#spare === undefined || this.#spare.ruined || this.#cluster.isRetired(this.#spare.id)) {
      if (this.#cluster.nextId() > MACHINES_MAX) return undefined
      this.#spare = this.#cluster.add(this.#cluster.nextId())
    }
    return [{ kind: 'addLearner', node: this.#spare.id }]
  }

  #change(leader: RegisterNode, change: ConfChange): void {
    const { world } = this.#cluster
    this.#calls++
    this.#cluster.openMembership()
    let ended = false
    const end = (): void => {
      if (ended) return
      ended = true
      this.#calls--
      if (this.#calls === 0) this.#cluster.closeMembership()
    }
    world.schedule('fault', undefined, 10_000, end)
    world.schedule('client', leader.life, 0, () => {
      leader.note(`is asked for ${change.map(({ kind, node }) => `${kind} ${node}`).join(', ')}`)
      const program = must(leader.program, 'its process runs')
      program.group.changeMembers(change).then(() => {
        leader.note('has made the change')
        this.#changes++
        end()
      }, end)
    })
  }

  /** A node that was a member and is none any more is switched off. One that may yet become a member is left alone. */
  #retireRemoved(): void {
    const view = this.#view()
    // A leader that has lost its place without knowing shows an old membership.
    if (view === undefined || view.commit !== this.#cluster.checker.commit || this.#cluster.membershipOpen) return
    const members = new Set(this.#members(view.conf))
    if (this.#spare !== undefined && members.has(this.#spare.id)) this.#spare = undefined
    for (const { id } of this.#cluster.nodes()) {
      if (!members.has(id) && id !== this.#spare?.id && !this.#cluster.isRetired(id)) this.#cluster.retire(id)
    }
  }

  #isCaughtUp(id: NodeId): boolean {
    const node = this.#cluster.node(id)
    const status = node === undefined ? undefined : this.#cluster.statusOf(node)
    return status !== undefined && !node?.ruined && status.applied > 0 && status.applied + 10 >= this.#cluster.checker.commit
  }

  #members({ voters, learners, outgoing }: ConfState): readonly NodeId[] {
    return [...new Set([...voters, ...learners, ...outgoing])].sort((a, b) => a - b)
  }
}
