// SPDX-License-Identifier: Apache-2.0
// Delayed messages over all data groups: a message lies in the group that the uid of its publisher is dealt to, and its id tells which that is.
import { must } from '#base/assert'
import type { KvPair } from '#base/port/kv'
import type { DelayedClient, DelayedEntry, DelayedKey, DelayedMessage, DelayedReceipt } from '#contract/client/delayed-client'
import { decodeDelayedBody, decodeDelayedHead } from '../codec/delayed-codec.ts'
import { checkName, compareSuffix, delayedKeyOf, keyAfter, receiptOf } from '../codec/key.ts'
import { forgetDelayed, putDelayed, releaseDelayed, takeDelayed } from '../command/delayed-command.ts'
import { scanRange } from '../scan.ts'
import type { GroupClient } from './group-client.ts'

export class DelayedService implements DelayedClient {
  readonly #groups: readonly GroupClient[]

  constructor(groups: readonly GroupClient[]) {
    this.#groups = groups
  }

  async put(message: DelayedMessage, dueMs: number, packetId: number | undefined): Promise<DelayedKey> {
    checkName(message.topic, 'topic')
    return this.#groupOfPublisher(message.publisher).submit(putDelayed(message, dueMs, packetId))
  }

  async entries(after: DelayedKey | undefined, count: number): Promise<readonly DelayedEntry[]> {
    const pages = await Promise.all(this.#groups.map((group) => page(group, after, count)))
    const merged = pages.flat().sort((a, b) => compareSuffix(a.key, b.key))
    return merged.slice(0, count).map(({ key, value }) => ({ ...delayedKeyOf(key), ...decodeDelayedHead(value) }))
  }

  async messages(keys: readonly DelayedKey[]): Promise<readonly (DelayedMessage | undefined)[]> {
    const found = new Map<number, DelayedMessage>()
    await Promise.all(
      this.#byGroup(keys).map(async ([group, part]) => {
        await group.barrier()
        const values = await group.kv.getMany(part.flatMap((key) => [group.keys.delayedHead(key), group.keys.delayedBody(key)]))
        for (const [at, { id }] of part.entries()) {
          const [head, body] = [values[at * 2], values[at * 2 + 1]]
          if (head !== undefined && body !== undefined) found.set(id, { ...decodeDelayedHead(head), ...decodeDelayedBody(body) })
        }
      }),
    )
    return keys.map(({ id }) => found.get(id))
  }

  async take(keys: readonly DelayedKey[]): Promise<readonly boolean[]> {
    const taken = new Set<number>()
    await Promise.all(
      this.#byGroup(keys).map(async ([group, part]) => {
        const replies = await group.submit(takeDelayed(part))
        for (const [at, { id }] of part.entries()) if (replies[at] === true) taken.add(id)
      }),
    )
    return keys.map(({ id }) => taken.has(id))
  }

  async receipts(): Promise<readonly DelayedReceipt[]> {
    const receipts: DelayedReceipt[] = []
    for (const group of this.#groups) {
      await group.barrier()
      await scanRange(group.kv, group.keys.delayedReceipts(), ({ key }) => {
        receipts.push(receiptOf(key))
        return true
      })
    }
    return receipts
  }

  release(receipt: DelayedReceipt): Promise<void> {
    return this.#groupOfPublisher(receipt.publisher).submit(releaseDelayed(receipt))
  }

  async forget(publishers: readonly number[]): Promise<void> {
    const groups = new Set(publishers.map((publisher) => this.#groupOfPublisher(publisher)))
    const part = (group: GroupClient): readonly number[] => publishers.filter((publisher) => this.#groupOfPublisher(publisher) === group)
    await Promise.all([...groups].map((group) => group.submit(forgetDelayed(part(group)))))
  }

  #groupOfPublisher(publisher: number): GroupClient {
    return must(this.#groups[publisher % this.#groups.length], 'there is a data group')
  }

  #byGroup(keys: readonly DelayedKey[]): readonly (readonly [GroupClient, readonly DelayedKey[]])[] {
    const ordinal = ({ id }: DelayedKey): number => (id - 1) % this.#groups.length
    return this.#groups
      .map((group, at) => [group, keys.filter((key) => ordinal(key) === at)] as const)
      .filter(([, part]) => part.length > 0)
  }
}

async function page(group: GroupClient, after: DelayedKey | undefined, count: number): Promise<readonly KvPair[]> {
  await group.barrier()
  const { gte, lt } = group.keys.delayedHeads()
  const pairs: KvPair[] = []
  await scanRange(group.kv, { gte: after === undefined ? gte : keyAfter(group.keys.delayedHead(after)), lt }, (pair) => {
    pairs.push(pair)
    return pairs.length < count
  })
  return pairs
}
