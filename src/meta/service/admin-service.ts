// SPDX-License-Identifier: Apache-2.0
// Members and leaders of the groups of this node, for its administrators, and as a service for other nodes.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { NodeId } from '#base/port/peer-transport'
import type { MemberChange, MetaAdminClient, MetaGroupStatus } from '#contract/client/meta-admin-client'
import type { RpcService, UnaryHandler } from '#contract/client/rpc'
import * as wire from '../wire/admin-wire.ts'

/** What is administered: a Raft group, as far as that takes. */
export interface AdministeredGroup {
  readonly id: number
  status(): Omit<MetaGroupStatus, 'group'>
  changeMembers(change: MemberChange, node: NodeId): Promise<void>
  transferLeadership(to: NodeId): Promise<void>
}

export class AdminService implements MetaAdminClient {
  readonly #groups: ReadonlyMap<number, AdministeredGroup>

  constructor(groups: readonly AdministeredGroup[]) {
    this.#groups = new Map(groups.map((group) => [group.id, group]))
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
