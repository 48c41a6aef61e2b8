// SPDX-License-Identifier: Apache-2.0
// Message expiry: what is over is not delivered, and what is left of a lifetime is told (Q19). The server counts from when it got the message: after the
// first sending, and before the acknowledgement was seen. It wrote a packet after its receiver had sent CONNECT, and before it came.
import type { DeliveredMessage, TestMessage } from '../client-observer.ts'

interface Lifetime {
  readonly lifeMs: number
  readonly sentMs: number
  /** Infinity while it is not known to be with the server. */
  acknowledgedMs: number
}

/** A server counts in whole milliseconds, and a lifetime in whole seconds. */
const CLOCK_MS = 1
const UNIT_MS = 1_000

export class Lifetimes {
  /** By payload. */
  readonly #lifetimes = new Map<string, Lifetime>()

  began({ payload, expirySeconds }: TestMessage, nowMs: number): void {
    if (expirySeconds === undefined) return
    this.#lifetimes.set(payload, { lifeMs: expirySeconds * UNIT_MS, sentMs: nowMs, acknowledgedMs: Number.POSITIVE_INFINITY })
  }

  acknowledged({ payload }: TestMessage, nowMs: number): void {
    const lifetime = this.#lifetimes.get(payload)
    if (lifetime !== undefined) lifetime.acknowledgedMs = nowMs
  }

  /** Nobody needs to get it any more. */
  mayBeOver({ payload }: TestMessage, nowMs: number): boolean {
    const lifetime = this.#lifetimes.get(payload)
    return lifetime !== undefined && nowMs >= lifetime.sentMs + lifetime.lifeMs - CLOCK_MS
  }

  /** Whoever begins to read at `nowMs` must not get it. */
  isOver({ payload }: TestMessage, nowMs: number): boolean {
    const lifetime = this.#lifetimes.get(payload)
    return lifetime !== undefined && nowMs > lifetime.acknowledgedMs + lifetime.lifeMs + CLOCK_MS
  }

  /** Which rule a delivery breaks, if any. What had been sent before its end may be sent again after it. */
  violation(message: TestMessage, delivered: DeliveredMessage, nowMs: number): string | undefined {
    const { lifetimeSeconds, tellsLifetime, duplicate, connectingSinceMs } = delivered
    const lifetime = this.#lifetimes.get(message.payload)
    if (lifetime === undefined) return lifetimeSeconds === undefined ? undefined : 'it has a lifetime that nobody gave it'
    if (!duplicate && this.isOver(message, connectingSinceMs)) return 'it had expired before its receiver connected [MQTT-3.3.2-5]'
    if (!tellsLifetime) return undefined
    if (lifetimeSeconds === undefined) return 'what is left of its lifetime is not told [MQTT-3.3.2-6]'
    const { lifeMs, sentMs, acknowledgedMs } = lifetime
    const waitedMsMin = Math.max(0, connectingSinceMs - acknowledgedMs)
    const leftMs = lifetimeSeconds * UNIT_MS
    if (!duplicate && leftMs > lifeMs - waitedMsMin + UNIT_MS) return `${lifetimeSeconds} s are more than what is left of ${lifeMs} ms`
    if (leftMs < lifeMs - (nowMs - sentMs) - UNIT_MS) return `${lifetimeSeconds} s are less than what is left of ${lifeMs} ms`
    return undefined
  }
}
