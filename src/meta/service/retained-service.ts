// SPDX-License-Identifier: Apache-2.0
// The retained view over all data groups. A topic lies in the group that it hashes to; a wildcard asks them all and merges by topic.
import { assert, must } from '#base/assert'
import { crc32c } from '#base/crc32c'
import type { Clock, Timer } from '#base/port/clock'
import type { Ports } from '#base/port/ports'
import { hasWildcard } from '#base/topic-filter'
import type { RetainedValue, RetainedWrite } from '#contract/client/meta-client'
import type { AppliedSignal } from '../applied-signal.ts'
import { decodeCount } from '../codec/count-codec.ts'
import { checkName, compareSuffix, dueOf, keyAfter, placementBytes, TENANT_DEFAULT } from '../codec/key.ts'
import { decodeBody, decodeHead } from '../codec/retained-codec.ts'
import type { Command } from '../command/command.ts'
import { collectRetained, type RetainedReply, retain } from '../command/retained-command.ts'
import type { GroupClient } from './group-client.ts'
import { scanRetained, scanSubtree } from './retained-scan.ts'

/** Bounds of one command that stores values. */
const COMMAND_WRITES_MAX = 256
const COMMAND_BYTES = 1 << 17
/** A page ends with the body by which it has this many bytes. */
const READ_BYTES = 1 << 18
const COLLECT_DUES_MAX = 500
/** How far the counts may be behind what other nodes have stored. */
const REFRESH_MS = 5000

/** Read from each of several groups beyond its even part of a page: topics do not fall on groups evenly. */
const SHARE_SLACK = 16

/** A retained message that matches. Its body may be still to be read. */
interface Match {
  readonly group: GroupClient
  readonly key: Buffer
  readonly topic: string
  readonly sizeBytes: number
  readonly body: Buffer | undefined
}

/** What a group has after some topic, in order. */
interface Part {
  readonly matches: readonly Match[]
  /** There is nothing after them. */
  readonly ended: boolean
}

interface Query {
  readonly filter: string
  readonly nowMs: number
}

export class RetainedService {
  readonly #groups: readonly GroupClient[]
  /** By group, as of its last reply to this node, or as they were read some seconds ago. */
  readonly #sizes: RetainedReply[]
  readonly #clock: Clock
  readonly #crash: (reason: Error) => void
  readonly #stopListening: readonly (() => void)[]
  #refresh: Timer | undefined

  /** `signals` are those of the groups, in the same order. */
  constructor(groups: readonly GroupClient[], { clock, crash }: Pick<Ports, 'clock' | 'crash'>, signals: readonly AppliedSignal[]) {
    this.#groups = groups
    this.#sizes = groups.map(() => ({ count: 0, bytes: 0 }))
    this.#clock = clock
    this.#crash = crash
    this.#stopListening = signals.map((signal) => signal.listen(() => this.#refreshLater()))
  }

  /** Reads the counts, as far as they are applied here. */
  async start(): Promise<void> {
    for (const [at, group] of this.#groups.entries()) {
      const [count, bytes] = await group.kv.getMany([group.keys.retainedCount, group.keys.retainedBytes])
      this.#sizes[at] = { count: decodeCount(count), bytes: decodeCount(bytes) }
    }
  }

  stop(): void {
    for (const stopListening of this.#stopListening) stopListening()
    this.#refresh?.cancel()
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

  /** At most `count` messages, and fewer when they are large; none only at the end. */
  async read(filter: string, after: string | undefined, count: number, nowMs: number): Promise<readonly RetainedValue[]> {
    assert(count > 0, 'a page has room for a message')
    checkName(filter, 'topic filter')
    const groups = hasWildcard(filter) ? this.#groups : [must(this.#groups[this.#placeOf(filter)], 'a topic has a group')]
    await Promise.all(groups.map((group) => group.barrier()))
    const share = groups.length === 1 ? count : Math.min(count, Math.ceil(count / groups.length) + SHARE_SLACK)
    const readPart = isSubtree(filter) ? bodiesIn : matchesIn
    let from = after
    for (;;) {
      const parts = await Promise.all(groups.map((group) => readPart(group, { filter, nowMs }, from, share)))
      const page = merge(parts).slice(0, count)
      const values = (await readBodies(page)).filter(({ expiryMs }) => !isExpired(expiryMs, nowMs))
      if (values.length > 0 || page.length === 0) return values
      from = page.at(-1)?.topic
    }
  }

  /** Drops expired messages and old tombstones of the groups that this node leads; resolves with how many of either were due. Ends early once `stopped` returns true. */
  async collect(nowMs: number, stopped: () => boolean): Promise<number> {
    let total = 0
    for (const [at, group] of this.#groups.entries()) {
      if (!group.leads) continue
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

  /** Other nodes write, too, and tell this one nothing. */
  #refreshLater(): void {
    this.#refresh ??= this.#clock.after(REFRESH_MS, () => {
      this.#refresh = undefined
      this.start().catch(this.#crash)
    })
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

/** Every topic in the range of the filter matches it, but for those that begin with '$' [MQTT-4.7.2-1]. */
const isSubtree = (filter: string): boolean => filter.indexOf('+') === -1 && filter.endsWith('#')

/** The matches up to the first topic behind which a group may have more. */
function merge(parts: readonly Part[]): Match[] {
  if (parts.length === 1) return [...must(parts[0], 'there is one').matches]
  let horizon: Buffer | undefined
  for (const { matches, ended } of parts) {
    const last = matches.at(-1)
    if (!ended && last !== undefined && (horizon === undefined || compareSuffix(last.key, horizon) < 0)) horizon = last.key
  }
  const merged = parts.flatMap(({ matches }) => matches).sort((a, b) => compareSuffix(a.key, b.key))
  const end = horizon === undefined ? -1 : merged.findIndex(({ key }) => compareSuffix(key, horizon) > 0)
  return end === -1 ? merged : merged.slice(0, end)
}

/** Up to `count` heads that match. */
async function matchesIn(group: GroupClient, query: Query, after: string | undefined, count: number): Promise<Part> {
  const found: Match[] = []
  await scanRetained(group.kv, group.keys, TENANT_DEFAULT, query.filter, after, count, (topic, { key, value }) => {
    const head = decodeHead(value)
    if (!head.removed && !isExpired(head.dueMs, query.nowMs)) found.push({ group, key, topic, sizeBytes: head.sizeBytes, body: undefined })
    return found.length < count
  })
  return { matches: found, ended: found.length < count }
}

/** Up to `count` bodies below a prefix, at least one. All of them match, so the heads would tell nothing. */
function bodiesIn(group: GroupClient, query: Query, after: string | undefined, count: number): Promise<Part> {
  const limit = { count, bytes: READ_BYTES }
  return group.kv.whole(async (kv) => {
    const found: Match[] = []
    const ended = await scanSubtree(kv, group.keys, TENANT_DEFAULT, query.filter, after, limit, (topic, { key, value }) => {
      found.push({ group, key, topic, sizeBytes: value.length, body: value })
    })
    return { matches: found, ended }
  })
}

/** The messages, in order, until they are large. One that was removed since its head was read is left out; one that was replaced is newer, which is as good. */
async function readBodies(found: readonly Match[]): Promise<readonly RetainedValue[]> {
  let count = 0
  for (let bytes = 0; count < found.length && bytes < READ_BYTES; count++) bytes += must(found[count], 'below the length').sizeBytes
  const page = count === found.length ? found : found.slice(0, count)
  const read = await readMissing(page.filter(({ body }) => body === undefined))
  const values: RetainedValue[] = []
  for (const match of page) {
    const bytes = match.body ?? read.get(match)
    if (bytes !== undefined) values.push(decodeBody(match.topic, bytes))
  }
  return values
}

async function readMissing(missing: readonly Match[]): Promise<ReadonlyMap<Match, Buffer | undefined>> {
  const read = new Map<Match, Buffer | undefined>()
  for (const group of new Set(missing.map((match) => match.group))) {
    const own = missing.filter((match) => match.group === group)
    const bodies = await group.kv.getMany(own.map(({ topic }) => group.keys.retainedBody(TENANT_DEFAULT, topic)))
    for (const [at, match] of own.entries()) read.set(match, bodies[at])
  }
  return read
}

const isExpired = (expiryMs: number, nowMs: number): boolean => expiryMs !== 0 && expiryMs <= nowMs
