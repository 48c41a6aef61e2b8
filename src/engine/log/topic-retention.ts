// SPDX-License-Identifier: Apache-2.0
// Removes old records of single topics from a stored log, by age and by bytes, and whole topics. It walks the chunks that are new, or newly too old,
// since its last round: topics of which nothing changes cost nothing.
import { must } from '#base/assert'
import { matches } from '#base/topic-filter'
import type { Position } from '#contract/client/engine-client'
import type { Chunk } from './key-layout.ts'
import type { RunRemoval } from './run-removal.ts'
import type { StripeMachine, StripeStore } from './stripe-machine.ts'
import type { Topic } from './topic.ts'
import { sharesOf } from './topic-share.ts'

/** Chunks looked at in one step. */
const CHUNKS_STEP = 64

/** Limits of the topics that match; of several that match, the first decides alone. */
export interface TopicLimits {
  readonly filter: string
  /** Older records are removed; 0 for no limit. */
  readonly maxAgeMs: number
  /** The oldest records of each topic are removed while its runs have more bytes; 0 for no limit. */
  readonly maxBytes: number
}

export class TopicRetention {
  readonly #machine: StripeMachine
  readonly #store: StripeStore
  readonly #removal: RunRemoval
  #limits: readonly TopicLimits[] = []
  /** Chunks before it are without what was too old, for each limit. */
  #agedTo = new Map<TopicLimits, Position>()
  /** The runs of each topic with a limit on bytes, in the chunks before `countedTo`. */
  #ledgers = new Map<number, RunLedger>()
  #countedTo: Position = 0

  constructor(machine: StripeMachine, removal: RunRemoval) {
    this.#machine = machine
    this.#store = must(machine.stored, 'only a log that is stored has something to retain')
    this.#removal = removal
  }

  /** One round. Other limits than those of the last round begin anew. `stopped` is asked between steps. */
  async run(limits: readonly TopicLimits[], nowMs: number, stopped: () => boolean): Promise<void> {
    if (limits !== this.#limits) {
      this.#limits = limits
      this.#agedTo = new Map()
      this.#ledgers = new Map()
      this.#countedTo = 0
    }
    for (const limit of limits) if (limit.maxAgeMs > 0) await this.#removeOld(limit, nowMs - limit.maxAgeMs, stopped)
    if (limits.some(({ maxBytes }) => maxBytes > 0)) await this.#removeExcess(stopped)
    this.#store.removed.forgetBefore(this.#machine.start)
  }

  /** Removes what there is of a topic now, damaged or not, and the topic. False when the log does not know it. What is not in the retained view yet is left. */
  async removeTopic(name: string): Promise<boolean> {
    const topic = this.#store.dictionary.byName(name)
    if (topic === undefined) return false
    await this.#store.writer.persist()
    const { bound } = this.#removal
    this.#machine.tail.evictStored(bound)
    const topicIds = new Set([topic.id])
    let cleared = this.#machine.start
    for (let early: Chunk | undefined; cleared < bound && early === undefined; ) {
      const chunks = await this.#store.log.chunks(cleared, bound, CHUNKS_STEP)
      early = chunks.find(({ end }) => end > bound)
      await this.#removal.remove(early === undefined ? chunks : chunks.slice(0, -1), topicIds)
      cleared = early?.base ?? chunks.at(-1)?.end ?? bound
    }
    // The chunk that it is too early for may list the topic, and so may those that have come meanwhile.
    if (topic.last >= cleared) return true
    this.#store.dictionary.remove(topic)
    this.#store.writer.add([{ key: this.#store.log.keys.topic(name), value: undefined }], 0)
    await this.#store.writer.persist()
    return true
  }

  async #removeOld(limit: TopicLimits, olderThanMs: number, stopped: () => boolean): Promise<void> {
    while (!stopped()) {
      const { bound } = this.#removal
      const chunks = await this.#store.log.chunks(this.#agedTo.get(limit) ?? this.#machine.start, bound, CHUNKS_STEP)
      const old = chunks.filter(({ appendTimeMs, end }) => appendTimeMs < olderThanMs && end <= bound)
      const last = old.at(-1)
      if (last === undefined) return
      const topicIds = new Set<number>()
      for (const chunk of old) for (const topic of this.#topicsOf(chunk)) if (this.#limitOf(topic) === limit) topicIds.add(topic.id)
      await this.#removal.remove(old, topicIds)
      this.#agedTo.set(limit, last.end)
      if (old.length < CHUNKS_STEP) return
    }
  }

  /** Counts what is new, and removes the oldest of the topics that have too much. */
  async #removeExcess(stopped: () => boolean): Promise<void> {
    for (const id of this.#ledgers.keys()) if (this.#store.dictionary.byId(id) === undefined) this.#ledgers.delete(id)
    while (!stopped()) {
      const { bound } = this.#removal
      const chunks = await this.#store.log.chunks(Math.max(this.#countedTo, this.#machine.start), bound, CHUNKS_STEP)
      const counted = new Set<Topic>()
      for (const chunk of chunks) {
        if (chunk.end > bound) break
        const topics = this.#topicsOf(chunk).filter((topic) => (this.#limitOf(topic)?.maxBytes ?? 0) > 0)
        const shares = await sharesOf(
          this.#store.log,
          chunk,
          topics.map(({ id }) => id),
        )
        topics.forEach((topic, at) => {
          this.#ledgerOf(topic).add(chunk.base, must(shares[at], 'each topic has a share').bytes)
          counted.add(topic)
        })
        this.#countedTo = chunk.end
      }
      for (const topic of counted) await this.#trim(topic, this.#limitOf(topic)?.maxBytes ?? 0)
      if (chunks.length < CHUNKS_STEP) return
    }
  }

  async #trim(topic: Topic, maxBytes: number): Promise<void> {
    const chunks: Chunk[] = []
    for (const base of this.#ledgerOf(topic).takeExcess(this.#machine.start, maxBytes)) {
      const chunk = await this.#store.log.chunkAt(base)
      if (chunk?.base === base) chunks.push(chunk)
    }
    await this.#removal.remove(chunks, new Set([topic.id]))
  }

  #ledgerOf(topic: Topic): RunLedger {
    let ledger = this.#ledgers.get(topic.id)
    if (ledger === undefined) {
      ledger = new RunLedger()
      this.#ledgers.set(topic.id, ledger)
    }
    return ledger
  }

  #topicsOf(chunk: Chunk): readonly Topic[] {
    return chunk.topicIds.flatMap((id) => this.#store.dictionary.byId(id) ?? [])
  }

  #limitOf(topic: Topic): TopicLimits | undefined {
    return this.#limits.find(({ filter }) => matches(filter, topic.name))
  }
}

/** Where the runs of a topic are, and their bytes, the oldest first. */
class RunLedger {
  #bases: Position[] = []
  #sizes: number[] = []
  #bytes = 0

  add(base: Position, sizeBytes: number): void {
    this.#bases.push(base)
    this.#sizes.push(sizeBytes)
    this.#bytes += sizeBytes
  }

  /** Strikes out what lies before `start`, then the oldest while there are more than `bytesMax`; returns the bases of the latter. The newest run stays. */
  takeExcess(start: Position, bytesMax: number): readonly Position[] {
    const excess: Position[] = []
    let struck = 0
    for (; struck < this.#bases.length - 1; struck++) {
      const base = this.#bases[struck] as Position
      if (base >= start && this.#bytes <= bytesMax) break
      if (base >= start) excess.push(base)
      this.#bytes -= this.#sizes[struck] as number
    }
    this.#bases.splice(0, struck)
    this.#sizes.splice(0, struck)
    return excess
  }
}
