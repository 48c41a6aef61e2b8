// SPDX-License-Identifier: Apache-2.0
// Which logs there are: the stripes, as many of each storage type as ever, and the logs that belong to one topic, which come and go.
import { assert, must } from '#base/assert'
import { crc32c } from '#base/crc32c'
import { hasWildcard, matches } from '#base/topic-filter'
import type { LogDescription, LogId, Position, StorageType } from '#contract/client/engine-client'
import type { Stripe } from '../log/stripe.ts'

/** Stripes are numbered type by type in this order, which is never changed: sessions keep the numbers. */
export const STORAGE_TYPES = ['rocksdb', 'memory', 'segment'] as const satisfies readonly StorageType[]

/** Topics are hashed with their tenant. */
const TENANT_PREFIX = 'default/'
const TOPIC_BYTES_MAX = 0xffff
/** Logs that are gone of which the end is remembered: the last ones. After a restart, or that many later, their readers are not told that they lack something. */
const GONE_MAX = 65_536

interface Place {
  readonly stripe: Stripe
  readonly description: LogDescription
}

export class LogTable {
  readonly #stripeCount: number
  /** By id. */
  readonly #places = new Map<LogId, Place>()
  /** Where the logs ended that are gone. */
  readonly #gone = new Map<LogId, Position>()
  readonly #byTopic: Readonly<Record<StorageType, Map<string, Place>>> = { rocksdb: new Map(), memory: new Map(), segment: new Map() }
  /** A topic with its tenant, to be hashed. */
  readonly #hashed = Buffer.alloc(TENANT_PREFIX.length + TOPIC_BYTES_MAX)
  #all: readonly Stripe[] = []
  #descriptions: readonly LogDescription[] = []

  /** `create` is called for each stripe, by id. */
  constructor(stripeCount: number, create: (id: LogId, storage: StorageType) => Stripe) {
    assert(Number.isInteger(stripeCount) && stripeCount > 0, 'an engine has at least one stripe')
    this.#stripeCount = stripeCount
    this.#hashed.write(TENANT_PREFIX, 'latin1')
    for (const [kind, storage] of STORAGE_TYPES.entries())
      for (let index = 0; index < stripeCount; index++) {
        const id = kind * stripeCount + index
        this.#places.set(id, { stripe: create(id, storage), description: { id, storage, model: 'shared' } })
      }
    this.#changed()
  }

  /** The first id that is of no stripe. */
  get firstIndependent(): LogId {
    return STORAGE_TYPES.length * this.#stripeCount
  }

  independentCount(storage: StorageType): number {
    return this.#byTopic[storage].size
  }

  /** All logs, by id. */
  get all(): readonly Stripe[] {
    return this.#all
  }

  get descriptions(): readonly LogDescription[] {
    return this.#descriptions
  }

  /** Undefined for a log that is gone. */
  get(log: LogId): Stripe | undefined {
    return this.#places.get(log)?.stripe
  }

  describe(log: LogId): LogDescription | undefined {
    return this.#places.get(log)?.description
  }

  /** What there is of a log: nothing before its end, when it is gone. */
  extent(log: LogId): { readonly first: Position; readonly end: Position } {
    const machine = this.get(log)?.machine
    if (machine !== undefined) return { first: machine.first, end: machine.end }
    const end = this.#gone.get(log) ?? 0
    return { first: end, end }
  }

  /** The stripe for a topic: always the same. */
  sharedOf(storage: StorageType, topic: string): Stripe {
    const end = TENANT_PREFIX.length + this.#hashed.write(topic, TENANT_PREFIX.length)
    const index = crc32c(this.#hashed, 0, 0, end) % this.#stripeCount
    return must(this.get(STORAGE_TYPES.indexOf(storage) * this.#stripeCount + index), 'stripes are there for good')
  }

  /** The log of its own that a topic has. */
  ownOf(storage: StorageType, topic: string): Stripe | undefined {
    return this.#byTopic[storage].get(topic)?.stripe
  }

  /** The logs in which a matching topic can be. */
  concerned(filter: string): readonly Stripe[] {
    if (hasWildcard(filter)) return this.#all.filter(({ machine }) => this.#mayHold(machine.log, filter))
    return STORAGE_TYPES.flatMap((storage) => {
      const own = this.ownOf(storage, filter)
      const shared = this.sharedOf(storage, filter)
      return own === undefined ? [shared] : [shared, own]
    })
  }

  add(stripe: Stripe, topic: string): void {
    const { log: id, storage } = stripe.machine
    assert(!this.#places.has(id) && !this.#byTopic[storage].has(topic), 'a log is new, and the only one of its topic and type')
    const place: Place = { stripe, description: { id, storage, model: 'independent', topic } }
    this.#places.set(id, place)
    this.#byTopic[storage].set(topic, place)
    this.#changed()
  }

  remove(log: LogId): void {
    const { storage, topic } = must(this.describe(log), 'only a log that is there is removed')
    this.#byTopic[storage].delete(must(topic, 'stripes are there for good'))
    this.#remember(log)
    this.#places.delete(log)
    this.#changed()
  }

  #remember(log: LogId): void {
    const { end } = this.extent(log)
    if (end > 0) this.#gone.set(log, end)
    for (const oldest of this.#gone.keys()) {
      if (this.#gone.size <= GONE_MAX) return
      this.#gone.delete(oldest)
    }
  }

  #mayHold(log: LogId, filter: string): boolean {
    const topic = this.describe(log)?.topic
    return topic === undefined || matches(filter, topic)
  }

  /** Ids only grow, so the order of the map is that of the ids. */
  #changed(): void {
    const places = [...this.#places.values()]
    this.#all = places.map(({ stripe }) => stripe)
    this.#descriptions = places.map(({ description }) => description)
  }
}
