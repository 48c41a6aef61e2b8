// SPDX-License-Identifier: Apache-2.0
// Exclusive filters over all data groups. A filter outlives the session that owns it, so an owner is looked for before another is refused, and
// filters of sessions that have ended are collected now and then: nothing has to be released when a session ends.
import { must } from '#base/assert'
import { crc32c } from '#base/crc32c'
import type { KvPair } from '#base/port/kv'
import type { ExclusiveClaim, ExclusiveClient, ExclusiveOwner } from '#contract/client/exclusive-client'
import type { SessionKey } from '#contract/record/session'
import { decodeExclusiveOwner } from '../codec/exclusive-codec.ts'
import { checkName, filterOfExclusive, keyAfter, placementBytes } from '../codec/key.ts'
import { claimExclusive, releaseExclusive } from '../command/exclusive-command.ts'
import { UID_NONE } from '../command/session-command.ts'
import type { GroupClient } from './group-client.ts'

/** The uids of sessions that have not ended, in the order of the keys; undefined for one that has, or never was. */
type LivingUids = (keys: readonly SessionKey[]) => Promise<readonly (number | undefined)[]>

const COLLECT_PAGE = 500

export class ExclusiveService implements ExclusiveClient {
  readonly #groups: readonly GroupClient[]
  readonly #livingUids: LivingUids

  constructor(groups: readonly GroupClient[], livingUids: LivingUids) {
    this.#groups = groups
    this.#livingUids = livingUids
  }

  async claim(filter: string, owner: ExclusiveOwner): Promise<ExclusiveClaim> {
    const group = this.#groupOf(owner.tenant, filter)
    const { claim, holder } = await group.submit(claimExclusive(filter, owner, UID_NONE))
    if (holder === undefined) return claim
    const [living] = await this.#livingUids([holder])
    if (living === holder.uid) return 'held'
    // A uid is not used again, so the holder stays ended. Another claim may have come in between: then that one has it.
    return (await group.submit(claimExclusive(filter, owner, holder.uid))).claim
  }

  async release(filters: readonly string[], owner: ExclusiveOwner): Promise<void> {
    await Promise.all(filters.map((filter) => this.#groupOf(owner.tenant, filter).submit(releaseExclusive([filter], owner))))
  }

  /** Frees what sessions that have ended have left in the groups that this node leads. Ends early once `stopped` returns true. */
  async collect(stopped: () => boolean): Promise<void> {
    for (const group of this.#groups) {
      if (!group.leads) continue
      await group.barrier()
      let { gte, lt } = group.keys.exclusives()
      while (!stopped()) {
        const pairs = await group.kv.scan({ gte, lt, limit: COLLECT_PAGE })
        const last = pairs.at(-1)
        if (last === undefined) break
        await this.#collectPage(group, pairs)
        gte = keyAfter(last.key)
      }
    }
  }

  async #collectPage(group: GroupClient, pairs: readonly KvPair[]): Promise<void> {
    const owners = pairs.map(({ value }) => decodeExclusiveOwner(value))
    const living = await this.#livingUids(owners)
    const ended = pairs.flatMap(({ key }, at) => {
      const owner = must(owners[at], 'there is an owner for each key')
      return living[at] === owner.uid ? [] : [releaseExclusive([filterOfExclusive(key)], owner)]
    })
    await Promise.all(ended.map((command) => group.submit(command)))
  }

  #groupOf(tenant: string, filter: string): GroupClient {
    checkName(filter, 'topic filter')
    return must(this.#groups[crc32c(placementBytes(tenant, filter)) % this.#groups.length], 'there is a data group')
  }
}
