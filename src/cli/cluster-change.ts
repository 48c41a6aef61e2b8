// SPDX-License-Identifier: Apache-2.0
// Changes of a cluster by its operator. Each group has its own leader, which is asked for its part; what is done already is left as it is, and what fails
// for a reason that passes is tried again until the time is up (R34: learner first, vote when caught up, demotion before removal).
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock } from '#base/port/clock'
import type { NodeId } from '#base/port/peer-transport'
import type { MetaAdminClient } from '#contract/client/meta-admin-client'
import { type ClusterAccess, type ClusterLook, type ClusterPicture, type GroupPicture, isMember } from './cluster-look.ts'

export interface ChangeOptions {
  readonly timeoutMs: number
  /** Told what has been done, as it is done. */
  readonly say: (line: string) => void
}

/** A change waits for a majority. */
const CHANGE_MS = 10_000
const PAUSE_MS = 200

/** What passes: the leader has changed, another change is under way, a node is busy. */
const RETRIED: readonly unknown[] = [
  ERROR_CODES.notLeader,
  ERROR_CODES.conflict,
  ERROR_CODES.proposalDropped,
  ERROR_CODES.outcomeUnknown,
  ERROR_CODES.unreachable,
  ERROR_CODES.notReady,
  ERROR_CODES.stopping,
]

/** Gives what was done; or what is waited for. */
type Step = (group: GroupPicture, picture: ClusterPicture) => Promise<{ readonly done: string } | { readonly waits: string }>

export class ClusterChange {
  readonly #look: ClusterLook
  readonly #access: ClusterAccess
  readonly #clock: Clock
  readonly #options: ChangeOptions
  readonly #giveUpAtMs: number

  /** Its time begins now. */
  constructor(look: ClusterLook, access: ClusterAccess, clock: Clock, options: ChangeOptions) {
    this.#look = look
    this.#access = access
    this.#clock = clock
    this.#options = options
    this.#giveUpAtMs = clock.monotonic() + options.timeoutMs
  }

  /** Resolves with what there is to say at the end. */
  async add(node: NodeId, address: string): Promise<string> {
    const { groups, members } = await this.#lookAtLeaders()
    const isKnown = groups.some((group) => isMember(group, node))
    const before = members.find((member) => member.node === node)
    if (!isKnown && (before?.programVersion ?? 0) > 0)
      throw refused(`node ${node} was a member before, and no id is used twice: give the new node a node_id that was never used`)
    const other = members.find((member) => member.node !== node && member.address === address)
    if (other !== undefined)
      throw refused(`${address} is the address of node ${other.node}: remove that node first, or correct the address`)
    if (before?.address !== address) {
      await this.#anywhere((admin) => admin.setAddress(node, address))
      this.#options.say(`node ${node} is at ${address}`)
    }
    const picture = await this.#inGroups(
      ({ groups: all }) => all.filter((group) => !isMember(group, node)),
      async ({ group, leader }) => {
        await this.#admin(leader).changeMembers(group, 'addLearner', node)
        return { done: `node ${node} is a learner` }
      },
    )
    const answers = picture.nodes.some((other) => other.node === node && other.problem === undefined)
    const next = `robustmq ctl cluster promote ${node}`
    return answers
      ? `node ${node} is in all groups. To give it its votes: ${next}`
      : `node ${node} is in all groups and does not answer at ${address} yet: start it with node_id = ${node} and join = true, then: ${next}`
  }

  async promote(node: NodeId): Promise<string> {
    const before = await this.#lookAtLeaders()
    const missing = before.groups.filter((group) => !isMember(group, node))
    if (missing.length > 0) throw refused(`node ${node} is not in ${inWords(missing)}: first, robustmq ctl cluster add ${node} HOST:PORT`)
    const targets = new Map(before.groups.map(({ group, commit }) => [group, commit]))
    await this.#inGroups(
      ({ groups }) => groups.filter(({ voters }) => !voters.includes(node)),
      async ({ group, leader }, { nodes }) => {
        const own = nodes.find((some) => some.node === node)
        const applied = own?.groups.find((some) => some.group === group)?.applied ?? 0
        const target = targets.get(group) ?? 0
        if (own?.problem !== undefined) return { waits: `node ${node} does not answer: ${own.problem}` }
        if (applied < target) return { waits: `node ${node} has applied ${applied} of ${target} entries` }
        await this.#admin(leader).changeMembers(group, 'promote', node)
        return { done: `node ${node} votes` }
      },
    )
    return `node ${node} votes in all groups`
  }

  async remove(node: NodeId): Promise<string> {
    const before = await this.#lookAtLeaders()
    const isStored = before.members.some((member) => member.node === node && member.address !== '')
    if (!isStored && !before.groups.some((group) => isMember(group, node))) return `node ${node} is no member: there is nothing to do`
    await this.#inGroups(
      // That of the metadata comes last: its members are those who are told of addresses.
      ({ groups }) => groups.filter((group) => isMember(group, node)).reverse(),
      async (group, picture) => {
        if (!group.voters.includes(node)) {
          await this.#admin(group.leader).changeMembers(group.group, 'remove', node)
          return { done: `node ${node} is removed` }
        }
        const heirs = this.#requireMajorityWithout(node, group, picture)
        if (group.leader === node) {
          await this.#admin(node).transferLeadership(group.group, heirs[0] ?? 0)
          return { waits: `node ${node} hands over to node ${heirs[0]}` }
        }
        const admin = this.#admin(group.leader)
        await admin.changeMembers(group.group, 'addLearner', node)
        await admin.changeMembers(group.group, 'remove', node)
        return { done: `node ${node} is removed` }
      },
    )
    await this.#anywhere((admin) => admin.removeAddress(node), node)
    return `node ${node} is no member any more. Stop it if it still runs; its id is not used again`
  }

  async transfer(node: NodeId, only: number | undefined): Promise<string> {
    const { groups } = await this.#lookAtLeaders()
    const wanted = groups.filter(({ group }) => only === undefined || group === only)
    if (wanted.length === 0) throw refused(`there is no group ${only}; robustmq ctl cluster status lists those there are`)
    const foreign = wanted.filter(({ voters }) => !voters.includes(node))
    if (foreign.length > 0) throw refused(`node ${node} does not vote in ${inWords(foreign)}, and can lead only where it votes`)
    await this.#inGroups(
      (picture) => picture.groups.filter(({ group, leader }) => leader !== node && (only === undefined || group === only)),
      async ({ group, leader }) => {
        await this.#admin(leader).transferLeadership(group, node)
        return { done: `node ${node} takes over from node ${leader}` }
      },
    )
    return only === undefined ? `node ${node} leads all groups` : `node ${node} leads group ${only}`
  }

  /** What every group has for members is known from its leader: what is concluded from that is so. */
  #lookAtLeaders(): Promise<ClusterPicture> {
    return this.#inGroups(
      () => [],
      async () => ({ done: '' }),
    )
  }

  /** Takes the step for the groups that `left` gives, again and again until it gives none, and all leaders have been heard. */
  async #inGroups(left: (picture: ClusterPicture) => readonly GroupPicture[], step: Step): Promise<ClusterPicture> {
    let waited = ''
    for (;;) {
      const picture = await this.#look.look()
      const groups = left(picture)
      const reasons = unheard(picture, groups)
      if (groups.length === 0 && reasons.length === 0) return picture
      for (const group of groups) {
        const reason = await this.#tryStep(step, group, picture)
        if (reason !== undefined) reasons.push(`group ${group.group}: ${reason}`)
      }
      if (reasons.length === 0) continue
      const [first = ''] = reasons
      if (this.#clock.monotonic() >= this.#giveUpAtMs) throw this.#late(reasons)
      if (first !== waited) this.#options.say(`waiting, in ${reasons.length} of ${picture.groups.length} groups. ${first}`)
      waited = first
      await this.#pause()
    }
  }

  /** Why there is more to be done in that group; undefined when there is not. */
  async #tryStep(step: Step, group: GroupPicture, picture: ClusterPicture): Promise<string | undefined> {
    if (group.leader === 0) return 'it has no leader'
    try {
      const outcome = await step(group, picture)
      if ('waits' in outcome) return outcome.waits
      this.#options.say(`group ${group.group}: ${outcome.done}`)
      return undefined
    } catch (error) {
      if (!isPlatformError(error) || !RETRIED.includes(error.code)) throw error
      return error.message
    }
  }

  /** The same call at one node after the other, until one of them has done it. */
  async #anywhere(call: (admin: MetaAdminClient) => Promise<void>, except: NodeId = 0): Promise<void> {
    for (;;) {
      const { nodes } = await this.#look.look()
      const reasons: string[] = []
      for (const { node, problem } of nodes) {
        if (problem !== undefined || node === except) continue
        try {
          return await call(this.#admin(node))
        } catch (error) {
          if (!isPlatformError(error) || !RETRIED.includes(error.code)) throw error
          reasons.push(`node ${node}: ${error.message}`)
        }
      }
      if (this.#clock.monotonic() >= this.#giveUpAtMs) throw this.#late(reasons)
      await this.#pause()
    }
  }

  /** The other voters that answer, those who have got farthest first. Throws when they would be no majority of those who remain (R34). */
  #requireMajorityWithout(node: NodeId, { group, voters }: GroupPicture, { nodes }: ClusterPicture): readonly NodeId[] {
    const others = voters.filter((voter) => voter !== node)
    if (others.length === 0) throw refused(`node ${node} is the only voter of group ${group}: add and promote another node first`)
    const applied = (voter: NodeId): number =>
      nodes.find((some) => some.node === voter)?.groups.find((some) => some.group === group)?.applied ?? -1
    const answering = others.filter((voter) => applied(voter) >= 0)
    if (answering.length > others.length / 2) return answering.sort((a, b) => applied(b) - applied(a))
    const silent = others.filter((voter) => !answering.includes(voter)).join(' and ')
    throw refused(
      `without node ${node}, group ${group} would have no majority, since node ${silent} does not answer: start it, or add and promote another node first`,
    )
  }

  #admin(node: NodeId): MetaAdminClient {
    return this.#access.admin(node, CHANGE_MS)
  }

  #late(reasons: readonly string[]): PlatformError {
    const { timeoutMs } = this.#options
    const text = `not done within ${timeoutMs / 1000} s. ${reasons.join('; ')}. Give the same command again when that is mended; what is done stays done`
    return new PlatformError(ERROR_CODES.outcomeUnknown, text)
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.#clock.after(PAUSE_MS, resolve))
  }
}

/** Why nothing is certain of groups in which there seems to be nothing left to do. */
function unheard({ groups }: ClusterPicture, left: readonly GroupPicture[]): string[] {
  if (groups.length === 0) return ['the nodes that answer know no group yet']
  const silent = groups.filter((group) => !group.isSaidByLeader && !left.includes(group))
  return silent.map(
    ({ group, leader }) => `group ${group}: ${leader === 0 ? 'it has no leader' : `node ${leader}, its leader, has not answered`}`,
  )
}

const inWords = (groups: readonly GroupPicture[]): string =>
  groups.length === 1 ? `group ${groups[0]?.group}` : `${groups.length} groups, such as group ${groups[0]?.group}`

const refused = (text: string): PlatformError => new PlatformError(ERROR_CODES.invalid, text)
