// SPDX-License-Identifier: Apache-2.0
// Members and leaders of the groups of this node, and where members are reached: for its administrators, and as a service for other nodes.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { NodeId } from '#base/port/peer-transport'
import type { MemberChange, MetaAdminClient, MetaGroupStatus, MetaMembers } from '#contract/client/meta-admin-client'
import type { RpcService, UnaryHandler } from '#contract/client/rpc'
import * as wire from '../wire/admin-wire.ts'

/** What is administered: a Raft group, as far as that takes. */
export interface AdministeredGroup {
  readonly id: number
  status(): Omit<MetaGroupStatus, 'group'>
  changeMembers(change: MemberChange, node: NodeId): Promise<void>
  transferLeadership(to: NodeId): Promise<void>
}

/** Where members are reached. */
export type AdministeredMembers = Pick<MetaAdminClient, 'members' | 'setAddress' | 'removeAddress'>

export class AdminService implements MetaAdminClient {
  readonly #groups: ReadonlyMap<number, AdministeredGroup>
  readonly #members: AdministeredMembers

  constructor(groups: readonly AdministeredGroup[], members: AdministeredMembers) {
    this.#groups = new Map(groups.map((group) => [group.id, group]))
    this.#members = members
  }

  async status(): Promise<readonly MetaGroupStatus[]> {
    return [...this.#groups.values()].map((group) => ({ group: group.id, ...group.status() }))
  }

  async changeMembers(group: number, change: MemberChange, node: NodeId): Promise<void> {
    await this.#groupOf(group).changeMembers(change, node)
  }

  async transferLeadership(group: number, to: NodeId): Promise<void> {
    await this.#groupOf(group).transferLeadership(to)
  }

  members(): Promise<MetaMembers> {
    return this.#members.members()
  }

  setAddress(node: NodeId, address: string): Promise<void> {
    return this.#members.setAddress(node, address)
  }

  removeAddress(node: NodeId): Promise<void> {
    return this.#members.removeAddress(node)
  }

  rpcService(): RpcService {
    const done = Buffer.alloc(0)
    return {
      unary: new Map<string, UnaryHandler>([
        [wire.ADMIN_METHOD.status, async () => wire.encodeStatusReply(await this.status())],
        [
          wire.ADMIN_METHOD.changeMembers,
          async (message) => {
            const { group, change, node } = wire.decodeChangeMembers(message)
            await this.changeMembers(group, change, node)
            return done
          },
        ],
        [
          wire.ADMIN_METHOD.transferLeadership,
          async (message) => {
            const { group, to } = wire.decodeTransferLeadership(message)
            await this.transferLeadership(group, to)
            return done
          },
        ],
        [wire.ADMIN_METHOD.members, async () => wire.encodeMembersReply(await this.members())],
        [
          wire.ADMIN_METHOD.setAddress,
          async (message) => {
            const { node, address } = wire.decodeSetAddress(message)
            await this.setAddress(node, address)
            return done
          },
        ],
        [
          wire.ADMIN_METHOD.removeAddress,
          async (message) => {
            await this.removeAddress(wire.decodeRemoveAddress(message))
            return done
          },
        ],
      ]),
      serverStream: new Map(),
    }
  }

  #groupOf(id: number): AdministeredGroup {
    const group = this.#groups.get(id)
    if (group !== undefined) return group
    throw new PlatformError(ERROR_CODES.notFound, `this node has no group ${id}; its status lists those it has`, { detail: { group: id } })
  }
}
