// SPDX-License-Identifier: Apache-2.0
// Where the members of the cluster are reached, and which versions their programs have announced. Who is a member is the configuration of the groups.
import { isNodeAddress } from '#base/address'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { NodeId } from '#base/port/peer-transport'
import type { MetaMembers } from '#contract/client/meta-admin-client'
import { decodeClusterVersion } from '../codec/cluster-version-codec.ts'
import { nodeOfKey } from '../codec/key.ts'
import { decodeMember } from '../codec/member-codec.ts'
import { decodeNode } from '../codec/node-codec.ts'
import { removeMember, setMember } from '../command/member-command.ts'
import { scanRange } from '../scan.ts'
import type { GroupClient } from './group-client.ts'
import type { NodeService } from './node-service.ts'

export class MemberService {
  readonly #group: GroupClient
  readonly #nodes: NodeService

  constructor(group: GroupClient, nodes: NodeService) {
    this.#group = group
    this.#nodes = nodes
  }

  /** As this node has applied it. */
  async members(): Promise<MetaMembers> {
    const { kv, keys } = this.#group
    const addresses = await this.addresses()
    const versions = new Map<NodeId, number>()
    await scanRange(kv, keys.nodes(), ({ key, value }) => {
      versions.set(nodeOfKey(key), decodeNode(value).programVersion)
      return true
    })
    const ids = [...new Set([...addresses.keys(), ...versions.keys()])].sort((a, b) => a - b)
    const members = ids.map((node) => ({ node, address: addresses.get(node) ?? '', programVersion: versions.get(node) ?? 0 }))
    return { clusterVersion: decodeClusterVersion(await kv.get(keys.clusterVersion)), members }
  }

  /** As this node has applied them. */
  async addresses(): Promise<ReadonlyMap<NodeId, string>> {
    const addresses = new Map<NodeId, string>()
    await scanRange(this.#group.kv, this.#group.keys.members(), ({ key, value }) => {
      addresses.set(nodeOfKey(key), decodeMember(value))
      return true
    })
    return addresses
  }

  async setAddress(node: NodeId, address: string): Promise<void> {
    if (!isNodeAddress(address)) throw new PlatformError(ERROR_CODES.invalid, `"${address}" is no address of a node: give host:port`)
    await this.#group.submit(setMember(node, address))
  }

  /** What the others know may be more than what the one that leaves did (R55). */
  async removeAddress(node: NodeId): Promise<void> {
    await this.#group.submit(removeMember(node))
    await this.#nodes.raiseClusterVersion()
  }
}
