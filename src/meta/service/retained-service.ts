// SPDX-License-Identifier: Apache-2.0
// The retained view over all data groups. A topic lies in the group that it hashes to; a wildcard asks them all and merges by topic.
import { assert, must } from '#base/assert'
import { crc32c } from '#base/crc32c'
import { hasWildcard } from '#base/topic-filter'
import type { RetainedValue, RetainedWrite } from '#contract/client/meta-client'
import { decodeCount } from '../codec/count-codec.ts'
import { checkName, compareSuffix, dueOf, keyAfter, placementBytes, TENANT_DEFAULT } from '../codec/key.ts'
import { decodeBody, decodeHead } from '../codec/retained-codec.ts'
import type { Command } from '../command/command.ts'
import { collectRetained, type RetainedReply, retain } from '../command/retained-command.ts'
import type { GroupClient } from './group-client.ts'
import { scanRetained } from './retained-scan.ts'

/** Bounds of one command that stores values. */
const COMMAND_WRITES_MAX = 256
const COMMAND_BYTES = 1 << 17
/** Bodies are read in about this many bytes at a time. */
const READ_BYTES = 1 << 20
const COLLECT_DUES_MAX = 500

/** A retained message that matches, without its body. */
interface Match {
  readonly group: GroupClient
  readonly key: Buffer
  readonly topic: string
  readonly sizeBytes: number
}

interface Query {
  readonly filter: string
  readonly nowMs: number
}

export class RetainedService {
  readonly #groups: readonly GroupClient[]
  /** By group, as of its last reply. */
  readonly #sizes: RetainedReply[]

  constructor(groups: readonly GroupClient[]) {
    this.#groups = groups
    this.#sizes = groups.map(() => ({ count: 0, bytes: 0 }))
  }

  /** Reads the counts. */
  async start(): Promise<void> {
    for (const [at, group] of this.#groups.entries()) {
      await group.barrier()
      const [count, bytes] = await group.kv.getMany([group.keys.retainedCount, group.keys.retainedBytes])
      this.#sizes[at] = { count: decodeCount(count), bytes: decodeCount(bytes) }
    }
  }

  /** Retained messages there are, those counted that have expired and are not collected yet. */
  count(): number {
    return this.#sizes.reduce((sum, { count }) => sum + count, 0)
  }

  /** Bytes of their payloads and headers, and of what is stored with them. */
  bytes(): number {
    return this.#sizes.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** Stores the values, each topic's in order. */
  async retain(writes: readonly RetainedWrite[], nowMs: number): Promise<void> {
    const byGroup = this.#groups.map((): RetainedWrite[] => [])
    for (const write of writes) {
      checkName(write.topic, 'topic')
      must(byGroup[this.#placeOf(write.topic)], 'a topic is hashed to a group that there is').push(write)
    }
    await Promise.all(byGroup.flatMap((part, at) => this.#retainIn(at, part, nowMs)))
  }

  /** Exactly `count` messages unless the end is reached. */
  async read(filter: string, after: string | undefined, count: number, nowMs: number): Promise<readonly RetainedValue[]> {
    assert(count > 0, 'a page has room for a message')
    checkName(filter, 'topic filter')
    const groups = hasWildcard(filter) ? this.#groups : [must(this.#groups[this.#placeOf(filter)], 'a topic has a group')]
    await Promise.all(groups.map((group) => group.barrier()))
    const values: RetainedValue[] = []
    let from = after
    for (;;) {
      const wanted = count - values.length
      const found = await Promise.all(groups.map((group) => matchesIn(group, { filter, nowMs }, from, wanted)))
      const page = found
        .flat()
        .sort((a, b) => compareSuffix(a.key, b.key))
        .slice(0, wanted)
      for (const value of await readBodies(page)) if (!isExpired(value.expiryMs, nowMs)) values.push(value)
      if (page.length < wanted || values.length === count) return values
      from = page.at(-1)?.topic
    }
  }

  /** Drops expired messages and old tombstones; resolves with how many of either were due. Ends early once `stopped` returns true. */
  async collect(nowMs: number, stopped: () => boolean): Promise<number> {
    let total = 0
    for (const [at, group] of this.#groups.entries()) {
      await group.barrier()
      let { gte, lt } = group.keys.retainedDues(nowMs)
      while (!stopped()) {
        const pairs = await group.kv.scan({ gte, lt, limit: COLLECT_DUES_MAX })
        const last = pairs.at(-1)
        if (last === undefined) break
        const dues = pairs.map(({ key }) => dueOf(key))
        await this.#submit(at, collectRetained(nowMs, dues))
        total += dues.length
        gte = keyAfter(last.key)
      }
    }
    return total
  }

  #retainIn(at: number, writes: readonly RetainedWrite[], nowMs: number): Promise<void>[] {
    const done: Promise<void>[] = []
    let from = 0
    let bytes = 0
    for (const [index, { message }] of writes.entries()) {
      bytes += message === undefined ? 0 : message.payload.length + message.headers.length
      if (bytes < COMMAND_BYTES && index + 1 - from < COMMAND_WRITES_MAX && index + 1 < writes.length) continue
      done.push(this.#submit(at, retain(TENANT_DEFAULT, nowMs, writes.slice(from, index + 1))))
      from = index + 1
      bytes = 0
    }
    return done
  }

  /** Replies of a group come in the order of its entries, so the last is the newest. */
  async #submit(at: number, command: Command<RetainedReply>): Promise<void> {
    this.#sizes[at] = await must(this.#groups[at], 'the group is one of those there are').submit(command)
  }

  #placeOf(topic: string): number {
    return crc32c(placementBytes(TENANT_DEFAULT, topic)) % this.#groups.length
  }
}

/** Up to `count` heads that match, in the order of their topics. */
async function matchesIn(group: GroupClient, query: Query, after: string | undefined, count: number): Promise<readonly Match[]> {
  const found: Match[] = []
  await scanRetained(group.kv, group.keys, TENANT_DEFAULT, query.filter, after, count, (topic, { key, value }) => {
    const head = decodeHead(value)
    if (!head.removed && !isExpired(head.dueMs, query.nowMs)) found.push({ group, key, topic, sizeBytes: head.sizeBytes })
    return found.length < count
  })
  return found
}

/** The bodies, in order. One that was removed since its head was read is left out; one that was replaced is newer, which is as good. */
async function readBodies(found: readonly Match[]): Promise<readonly RetainedValue[]> {
  const values: RetainedValue[] = []
  let from = 0
  while (from < found.length) {
    let to = from
    for (let bytes = 0; to < found.length && bytes < READ_BYTES; to++) bytes += must(found[to], 'below the length').sizeBytes
    const part = found.slice(from, to)
    const kv = must(part[0], 'the part is not empty').group.kv
    const bodies = await kv.getMany(part.map(({ group, topic }) => group.keys.retainedBody(TENANT_DEFAULT, topic)))
    for (const [at, { topic }] of part.entries()) {
      const body = bodies[at]
      if (body !== undefined) values.push(decodeBody(topic, body))
    }
    from = to
  }
  return values
}

const isExpired = (expiryMs: number, nowMs: number): boolean => expiryMs !== 0 && expiryMs <= nowMs
