// SPDX-License-Identifier: Apache-2.0
// The administration of groups as one other node offers it.
import type { NodeId } from '#base/port/peer-transport'
import type { MemberChange, MetaAdminClient, MetaGroupStatus, MetaMembers } from '#contract/client/meta-admin-client'
import type { RpcClient } from '#contract/client/rpc'
import * as wire from '../wire/admin-wire.ts'

/** A change waits for a majority, and a transfer for an election. */
const DEADLINE_MS = 30_000

export class RpcAdminClient implements MetaAdminClient {
  readonly #rpc: RpcClient
  readonly #node: NodeId
  readonly #deadlineMs: number

  constructor(rpc: RpcClient, node: NodeId, deadlineMs = DEADLINE_MS) {
    this.#rpc = rpc
    this.#node = node
    this.#deadlineMs = deadlineMs
  }

  async status(): Promise<readonly MetaGroupStatus[]> {
    return wire.decodeStatusReply(await this.#call(wire.ADMIN_METHOD.status, Buffer.alloc(0)))
  }

  async changeMembers(group: number, change: MemberChange, node: NodeId): Promise<void> {
    await this.#call(wire.ADMIN_METHOD.changeMembers, wire.encodeChangeMembers({ group, change, node }))
  }

  async transferLeadership(group: number, to: NodeId): Promise<void> {
    await this.#call(wire.ADMIN_METHOD.transferLeadership, wire.encodeTransferLeadership({ group, to }))
  }

  async members(): Promise<MetaMembers> {
    return wire.decodeMembersReply(await this.#call(wire.ADMIN_METHOD.members, Buffer.alloc(0)))
  }

  async setAddress(node: NodeId, address: string): Promise<void> {
    await this.#call(wire.ADMIN_METHOD.setAddress, wire.encodeSetAddress({ node, address }))
  }

  async removeAddress(node: NodeId): Promise<void> {
    await this.#call(wire.ADMIN_METHOD.removeAddress, wire.encodeRemoveAddress(node))
  }

  #call(method: string, request: Buffer): Promise<Buffer> {
    return this.#rpc.unary(this.#node, `${wire.ADMIN_SERVICE}/${method}`, request, this.#deadlineMs)
  }
}
