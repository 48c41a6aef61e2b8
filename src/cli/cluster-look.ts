// SPDX-License-Identifier: Apache-2.0
// How a cluster stands, put together from what its nodes say of themselves.
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { NodeId } from '#base/port/peer-transport'
import type { MetaAdminClient, MetaGroupStatus, MetaMember, MetaMembers } from '#contract/client/meta-admin-client'

/** The way to the nodes. */
export interface ClusterAccess {
  admin(node: NodeId, deadlineMs: number): MetaAdminClient
  /** Where nodes are reached, from now on. */
  setPeers(peers: ReadonlyMap<NodeId, string>): void
}

export interface NodePicture {
  readonly node: NodeId
  /** '' when it is not known. */
  readonly address: string
  readonly programVersion: number
  /** Its groups as it sees them; empty when it does not answer. */
  readonly groups: readonly MetaGroupStatus[]
  /** Why it does not answer; undefined when it does. */
  readonly problem: string | undefined
}

export interface GroupPicture {
  readonly group: number
  /** 0 while none is known. */
  readonly leader: NodeId
  readonly term: number
  readonly commit: number
  readonly voters: readonly NodeId[]
  readonly learners: readonly NodeId[]
  /** As its leader says. Other nodes may be behind, and one that has just started knows no members at all. */
  readonly isSaidByLeader: boolean
}

export interface ClusterPicture {
  readonly clusterVersion: number
  /** Members of any group, and nodes that have an address: ascending. */
  readonly nodes: readonly NodePicture[]
  /** Ascending; that of the metadata is the first. */
  readonly groups: readonly GroupPicture[]
  /** Those that were members, too. */
  readonly members: readonly MetaMember[]
}

export const isMember = ({ voters, learners }: GroupPicture, node: NodeId): boolean => voters.includes(node) || learners.includes(node)

/** For a node that is asked how it stands: one that takes longer is as good as down. */
const ASK_MS = 3000

interface Answer {
  readonly status: readonly MetaGroupStatus[]
  readonly membership: MetaMembers
}

export class ClusterLook {
  readonly #access: ClusterAccess
  readonly #addresses: Map<NodeId, string>

  /** `addresses` of nodes of the cluster; the others are learnt from them. */
  constructor(access: ClusterAccess, addresses: ReadonlyMap<NodeId, string>) {
    this.#access = access
    this.#addresses = new Map(addresses)
    access.setPeers(this.#addresses)
  }

  /** Rejects with unreachable when no node answers. */
  async look(): Promise<ClusterPicture> {
    const answers = new Map<NodeId, Answer>()
    const problems = new Map<NodeId, string>()
    for (;;) {
      const unasked = [...this.#addresses.keys()].filter((node) => !answers.has(node) && !problems.has(node))
      if (unasked.length === 0) break
      await Promise.all(unasked.map((node) => this.#ask(node, answers, problems)))
      this.#learn(answers)
    }
    if (answers.size === 0) throw this.#nobody(problems)
    return this.#picture(answers, problems)
  }

  async #ask(node: NodeId, answers: Map<NodeId, Answer>, problems: Map<NodeId, string>): Promise<void> {
    const admin = this.#access.admin(node, ASK_MS)
    try {
      const [status, membership] = await Promise.all([admin.status(), admin.members()])
      answers.set(node, { status, membership })
    } catch (error) {
      if (!isPlatformError(error)) throw error
      problems.set(node, error.message)
    }
  }

  #learn(answers: ReadonlyMap<NodeId, Answer>): void {
    const before = this.#addresses.size
    for (const { membership } of answers.values())
      for (const { node, address } of membership.members)
        if (address !== '' && !this.#addresses.has(node)) this.#addresses.set(node, address)
    if (this.#addresses.size > before) this.#access.setPeers(new Map(this.#addresses))
  }

  #picture(answers: ReadonlyMap<NodeId, Answer>, problems: ReadonlyMap<NodeId, string>): ClusterPicture {
    const groups = groupsOf(answers)
    const { clusterVersion, members } = newest(answers)
    const ids = new Set(members.filter(({ address }) => address !== '').map(({ node }) => node))
    for (const { voters, learners } of groups) for (const node of [...voters, ...learners]) ids.add(node)
    const nodes = [...ids]
      .sort((a, b) => a - b)
      .map((node) => ({
        node,
        address: this.#addresses.get(node) ?? '',
        programVersion: members.find((member) => member.node === node)?.programVersion ?? 0,
        groups: answers.get(node)?.status ?? [],
        problem: answers.has(node) ? undefined : (problems.get(node) ?? 'its address is not known'),
      }))
    return { clusterVersion, nodes, groups, members }
  }

  #nobody(problems: ReadonlyMap<NodeId, string>): PlatformError {
    const each = [...problems].map(([node, problem]) => `node ${node} (${this.#addresses.get(node)}): ${problem}`)
    return new PlatformError(ERROR_CODES.unreachable, `no node of the cluster answers. ${each.join('; ')}`)
  }
}

/** As whoever has seen the latest term knows each: its leader, or else the one that has got farthest in it. */
function groupsOf(answers: ReadonlyMap<NodeId, Answer>): readonly GroupPicture[] {
  const best = new Map<number, MetaGroupStatus>()
  for (const { status } of answers.values()) {
    for (const group of status) {
      const before = best.get(group.group)
      if (before === undefined || isBetter(group, before)) best.set(group.group, group)
    }
  }
  return [...best.values()]
    .sort((a, b) => a.group - b.group)
    .map(({ group, role, leader, term, commit, voters, learners }) => {
      return { group, leader, term, commit, voters, learners, isSaidByLeader: role === 'leader' }
    })
}

function isBetter(some: MetaGroupStatus, other: MetaGroupStatus): boolean {
  if (some.term !== other.term) return some.term > other.term
  return other.role !== 'leader' && (some.role === 'leader' || some.commit > other.commit)
}

/** What the node knows that has applied most of the metadata. */
function newest(answers: ReadonlyMap<NodeId, Answer>): MetaMembers {
  const applied = ({ status }: Answer): number =>
    Math.max(0, ...status.filter(({ group }) => group === lowest(status)).map((group) => group.applied))
  const sorted = [...answers.values()].sort((a, b) => applied(b) - applied(a))
  return sorted[0]?.membership ?? { clusterVersion: 0, members: [] }
}

const lowest = (status: readonly MetaGroupStatus[]): number => Math.min(...status.map(({ group }) => group))
