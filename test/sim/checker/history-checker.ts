// SPDX-License-Identifier: Apache-2.0
// Whether the stored history is what the publishes of the run can have left behind (D8, Q1, Q3, Q13): each acknowledged message of QoS 1 and 2 is there, once
// for each time it was sent at QoS 1 and once otherwise, wills included, in the order of sending, at offsets that rise within a topic.
import type { TestMessage } from '../client-observer.ts'
import type { HistoryEntry } from '../history-reader.ts'
import { SimFailure } from '../world.ts'
import type { Lifetimes } from './lifetimes.ts'
import { within } from './subscription-model.ts'

/** What is known of a publish. */
export interface KnownPublish {
  readonly message: TestMessage
  readonly outcome: 'unknown' | 'acknowledged' | 'refused'
  readonly repeats: number
}

export class HistoryChecker {
  /** By payload. */
  readonly #publishes: ReadonlyMap<string, KnownPublish>
  readonly #lifetimes: Lifetimes

  constructor(publishes: ReadonlyMap<string, KnownPublish>, lifetimes: Lifetimes) {
    this.#publishes = publishes
    this.#lifetimes = lifetimes
  }

  /** `entries`: all of the history, as read between two moments. */
  checkWhole(entries: readonly HistoryEntry[], fromMs: number, toMs: number): void {
    this.#checkOffsets(entries)
    const copies = this.#countCopies(entries, fromMs)
    for (const publish of this.#publishes.values()) {
      const { message, outcome } = publish
      const owed = outcome === 'acknowledged' && message.qos > 0 && message.delaySeconds === undefined
      if (owed && !copies.has(message.payload) && !this.#lifetimes.mayBeOver(message, toMs))
        throw new SimFailure(`${message.payload} (QoS ${message.qos}, ${message.topic}) is acknowledged and not in the history (Q1)`)
    }
  }

  /** `entries`: what was read from `offset` on; `whole`: what was read from the beginning. */
  checkFrom(offset: number, entries: readonly HistoryEntry[], whole: readonly HistoryEntry[], toMs: number): void {
    this.#checkOffsets(entries)
    const early = entries.find((entry) => entry.offset < offset)
    if (early !== undefined) throw new SimFailure(`a replay from ${offset} brought ${early.payload} of ${early.offset}`)
    const got = new Set(entries.map(placeOf))
    for (const entry of whole) {
      if (entry.offset < offset || got.has(placeOf(entry))) continue
      const publish = this.#publishes.get(entry.payload)
      if (publish !== undefined && this.#lifetimes.mayBeOver(publish.message, toMs)) continue
      throw new SimFailure(`a replay from ${offset} left out ${entry.payload} of ${entry.offset} on ${entry.topic}`)
    }
  }

  #checkOffsets(entries: readonly HistoryEntry[]): void {
    const last = new Map<string, number>()
    for (const { topic, payload, offset } of entries) {
      const before = last.get(topic) ?? -1
      if (offset <= before) throw new SimFailure(`replay of ${topic}: ${payload} of ${offset} came after ${before}`)
      last.set(topic, offset)
    }
  }

  #countCopies(entries: readonly HistoryEntry[], fromMs: number): ReadonlyMap<string, number> {
    const copies = new Map<string, number>()
    const sequences = new Map<string, number>()
    for (const { topic, payload } of entries) {
      if (payload === '') continue
      const publish = this.#publishes.get(payload)
      if (publish === undefined || publish.outcome === 'refused' || publish.message.topic !== topic)
        throw new SimFailure(`${payload} is in the history of ${topic}, and nobody has published it there`)
      const { message, repeats } = publish
      if (this.#lifetimes.isOver(message, fromMs)) throw new SimFailure(`${payload} is replayed after its lifetime [MQTT-3.3.2-5]`)
      const count = within(copies, payload, () => 0) + 1
      copies.set(payload, count)
      const countMax = message.qos === 1 ? 1 + repeats : 1
      if (count > countMax)
        throw new SimFailure(`copy ${count} of ${payload} (QoS ${message.qos}) is stored, but it was sent ${countMax} times`)
      if (count === 1 && message.delaySeconds === undefined) checkOrder(message, sequences)
    }
    return copies
  }
}

function checkOrder({ publisher, topic, qos, sequence, payload }: TestMessage, sequences: Map<string, number>): void {
  const flow = `${publisher} ${topic} ${qos}`
  const before = sequences.get(flow) ?? -1
  if (sequence < before) throw new SimFailure(`${payload} is stored after sequence ${before} of the same flow (Q18)`)
  sequences.set(flow, sequence)
}

const placeOf = ({ topic, offset }: HistoryEntry): string => `${offset} ${topic}`
