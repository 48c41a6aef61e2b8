// SPDX-License-Identifier: Apache-2.0
// Whether the retained values are ones that the publishes of the run can have left behind (Q14).
import type { TestMessage } from '../client-observer.ts'
import { SimFailure } from '../world.ts'
import { within } from './subscription-model.ts'

/** Times are positions in the order of all observed happenings. */
interface RetainedPublish {
  readonly message: TestMessage
  readonly began: number
  readonly beganMs: number
  lastSent: number
  /** Undefined while its outcome is unknown. */
  acknowledged: number | undefined
  acknowledgedMs: number
}

export class RetainedChecker {
  readonly #byTopic = new Map<string, RetainedPublish[]>()

  began(message: TestMessage, now: number, nowMs: number): void {
    within(this.#byTopic, message.topic, () => []).push({
      message,
      began: now,
      beganMs: nowMs,
      lastSent: now,
      acknowledged: undefined,
      acknowledgedMs: Number.POSITIVE_INFINITY,
    })
  }

  repeated(message: TestMessage, now: number): void {
    const publish = this.#find(message)
    if (publish !== undefined) publish.lastSent = now
  }

  acknowledged(message: TestMessage, now: number, nowMs: number): void {
    const publish = this.#find(message)
    if (publish === undefined) return
    publish.acknowledged = now
    publish.acknowledgedMs = nowMs
  }

  refused(message: TestMessage): void {
    const publishes = this.#byTopic.get(message.topic) ?? []
    const at = publishes.findIndex((publish) => publish.message === message)
    if (at >= 0) publishes.splice(at, 1)
  }

  /** `values`: retained payload by topic, as a new subscriber gets them after all is quiet, between two moments. */
  check(values: ReadonlyMap<string, string>, fromMs: number, toMs: number): void {
    for (const [topic, payload] of values) {
      if (!this.#byTopic.has(topic)) throw new SimFailure(`retained value ${payload} of ${topic}, which nobody published`)
    }
    for (const [topic, publishes] of this.#byTopic) {
      const value = values.get(topic) ?? ''
      const last = publishes.filter((publish) => !publishes.some((other) => supersedes(other, publish)))
      const candidates = last.filter((publish) => !hasExpired(publish, fromMs)).map(({ message }) => message.payload)
      if (last.some((publish) => mayHaveExpired(publish, toMs))) candidates.push('')
      if (publishes.every((publish) => publish.acknowledged === undefined)) candidates.push('')
      if (candidates.includes(value)) continue
      throw new SimFailure(
        `retained value of ${topic} is '${value}', which can only be one of: ${candidates.map((c) => `'${c}'`).join(', ')}`,
      )
    }
  }

  #find(message: TestMessage): RetainedPublish | undefined {
    return this.#byTopic.get(message.topic)?.find((publish) => publish.message === message)
  }
}

/**
 * Whether `later` has certainly replaced `earlier`: it is stored, and it was published after the other was acknowledged, or it came from the same
 * publisher at the same QoS and after everything that was sent of the other.
 */
function supersedes(later: RetainedPublish, earlier: RetainedPublish): boolean {
  if (later === earlier || later.acknowledged === undefined) return false
  if (earlier.acknowledged !== undefined && later.began > earlier.acknowledged) return true
  const { publisher, qos } = earlier.message
  if (later.message.publisher !== publisher || later.began < earlier.lastSent) return false
  return later.message.qos === qos || qos === 0
}

/** A server counts in whole milliseconds. */
const CLOCK_MS = 1

const lifeMs = ({ message }: RetainedPublish): number =>
  message.expirySeconds === undefined ? Number.POSITIVE_INFINITY : message.expirySeconds * 1000

const hasExpired = (publish: RetainedPublish, atMs: number): boolean => atMs > publish.acknowledgedMs + lifeMs(publish) + CLOCK_MS
const mayHaveExpired = (publish: RetainedPublish, atMs: number): boolean => atMs >= publish.beganMs + lifeMs(publish) - CLOCK_MS
