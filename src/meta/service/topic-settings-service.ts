// SPDX-License-Identifier: Apache-2.0
// The settings of topics that the cluster keeps: pairs of the key-value store, each a table of [[topic]] under its name. Whoever follows them is told of all of them
// after every change, by whichever node it was made.
//
//   key := 'topic-settings/' name        value := JSON {"version": 1, "order": integer, "table": {…}}
import { formatProblem } from '#base/config/problem'
import { readTopicTable, type TopicRow } from '#base/config/topic-table'
import { isPlatformError, messageOf, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock } from '#base/port/clock'
import type { Logger } from '#base/port/logger'
import type { KvClient, KvItem, KvRevision, KvSpan, KvWatch } from '#contract/client/kv-client'
import { TOPIC_ENTRIES_MAX, type TopicEntry, type TopicSettingsClient, type TopicTable } from '#contract/client/topic-settings-client'

type Follower = (entries: readonly TopicEntry[]) => void

const PREFIX = 'topic-settings/'
/** '0' is the character behind '/'. */
const SPAN: KvSpan = Object.freeze({ gte: Buffer.from(PREFIX), lt: Buffer.from('topic-settings0') })
const VERSION = 1
const NAME = /^[\w.-]{1,128}$/
const RETRY_MS = 1_000

export class TopicSettingsService implements TopicSettingsClient {
  readonly #kv: KvClient
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #followers: Follower[] = []
  #watch: KvWatch | undefined
  #keepsUp = false
  /** One reading at a time: a later one never tells of an earlier state. */
  #telling: Promise<unknown> = Promise.resolve()
  #stopped = false

  constructor(kv: KvClient, clock: Clock, logger: Logger) {
    this.#kv = kv
    this.#clock = clock
    this.#logger = logger
  }

  stop(): void {
    this.#stopped = true
    this.#watch?.close()
  }

  async set(entry: TopicEntry): Promise<void> {
    const { name, order, table } = entry
    const { filter } = readEntry(entry)
    const others = (await this.list()).filter((other) => other.name !== name)
    const same = others.find((other) => other.table.filter === filter)
    if (same !== undefined)
      throw refused([`topic settings '${name}': filter = ${filter}: expected a filter that '${same.name}' does not have already`])
    if (others.length >= TOPIC_ENTRIES_MAX)
      throw new PlatformError(ERROR_CODES.quotaExceeded, `${TOPIC_ENTRIES_MAX} topic settings are kept; remove one first`)
    await this.#kv.put(keyOf(name), Buffer.from(JSON.stringify({ version: VERSION, order, table })))
    await this.#tell()
  }

  async remove(name: string): Promise<boolean> {
    if (!NAME.test(name)) return false
    const { deleted } = await this.#kv.delete(keyOf(name))
    if (deleted > 0) await this.#tell()
    return deleted > 0
  }

  async list(): Promise<readonly TopicEntry[]> {
    return (await this.#read()).entries
  }

  async follow(follower: Follower): Promise<void> {
    this.#followers.push(follower)
    const revision = await this.#tell()
    if (this.#keepsUp) return
    this.#keepsUp = true
    void this.#keepUp(revision)
  }

  /** Reads everything and tells it. Resolves with a revision from which on nothing may be missed. */
  #tell(): Promise<KvRevision> {
    const telling = this.#telling.then(async () => {
      const { revision, entries } = await this.#read()
      if (!this.#stopped) for (const follower of this.#followers) follower(entries)
      return revision
    })
    this.#telling = telling.catch(() => undefined)
    return telling
  }

  async #read(): Promise<{ readonly revision: KvRevision; readonly entries: readonly TopicEntry[] }> {
    const entries: TopicEntry[] = []
    let first: KvRevision | undefined
    for (let gte = SPAN.gte; ; ) {
      const { revision, items, more } = await this.#kv.range({ gte, lt: SPAN.lt })
      first ??= revision
      for (const item of items) {
        const entry = this.#decode(item)
        if (entry !== undefined) entries.push(entry)
      }
      const last = items.at(-1)
      if (!more || last === undefined) break
      gte = Buffer.concat([last.key, Buffer.of(0)])
    }
    return { revision: first, entries: entries.sort((a, b) => a.order - b.order || (a.name < b.name ? -1 : 1)) }
  }

  #decode({ key, value }: KvItem): TopicEntry | undefined {
    const name = key.toString('utf8', PREFIX.length)
    const stored = parse(value)
    if (stored?.version === VERSION) return { name, order: stored.order, table: stored.table }
    this.#logger.log('error', 'topic settings of a newer version, or that are none, have no effect', { name })
    return undefined
  }

  async #keepUp(revision: KvRevision): Promise<void> {
    let seen = revision
    while (!this.#stopped) {
      try {
        this.#watch = this.#kv.watch({ ...SPAN, fromRevision: seen + 1 })
        for await (const message of this.#watch) {
          if (message.kind !== 'compacted') seen = message.revision
          if (message.kind !== 'progress') seen = Math.max(seen, await this.#tell())
        }
      } catch (error) {
        if (!isPlatformError(error)) throw error
        if (this.#stopped) return
        this.#logger.log('warn', 'changes of topic settings are not seen for now, trying again', { error: messageOf(error) })
        await new Promise<void>((resolve) => this.#clock.after(RETRY_MS, resolve))
      }
    }
  }
}

interface StoredEntry {
  readonly version: number
  readonly order: number
  readonly table: TopicTable
}

const keyOf = (name: string): Buffer => Buffer.from(PREFIX + name)

function parse(value: Buffer): StoredEntry | undefined {
  try {
    return JSON.parse(value.toString()) as StoredEntry
  } catch {
    return undefined
  }
}

function readEntry({ name, order, table }: TopicEntry): TopicRow {
  const problems: string[] = []
  if (!NAME.test(name)) problems.push(`topic settings '${name}': expected a name of 1 to 128 letters, digits, '.', '_' and '-'`)
  if (!Number.isSafeInteger(order)) problems.push(`topic settings '${name}': order = ${order}: expected an integer`)
  const reading = readTopicTable(name, table)
  if (reading.kind === 'refused') problems.push(...reading.problems.map(formatProblem))
  if (reading.kind === 'refused' || problems.length > 0) throw refused(problems)
  return reading.row
}

const refused = (problems: readonly string[]): PlatformError => new PlatformError(ERROR_CODES.configInvalid, problems.join('\n'))
