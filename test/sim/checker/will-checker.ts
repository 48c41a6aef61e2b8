// SPDX-License-Identifier: Apache-2.0
// Which wills are due, not yet due, or cancelled, as far as their clients can know (Q12, Q13).
//
// The server counts a delay from when it has seen the connection end, which is after the client sent CONNECT. So a client that is back before its delay has
// passed since that CONNECT has cancelled the will, and no delivery can have come before. A client that is given a new session instead has ended
// the earlier one, and its will is due whatever its delay [MQTT-3.1.2-8].
import type { ConnectionEnd, ServerHistory, TestMessage } from '../client-observer.ts'

interface TrackedWill {
  readonly client: string
  readonly message: TestMessage
  readonly delayMs: number
  readonly sentMs: number
  /** How many CONNECTs the client had sent, this one included. */
  readonly connects: number
  /** Which life of the server confirmed the connection; undefined when none is known to have. */
  armed: number | undefined
  released: ConnectionEnd | undefined
  cancelled: boolean
}

/** A server counts in whole milliseconds. */
const CLOCK_MS = 1

export class WillChecker {
  readonly #server: ServerHistory
  readonly #nowMs: () => number
  /** By payload. */
  readonly #wills = new Map<string, TrackedWill>()
  /** By client: its delayed will, when the connection that carried it is lost. */
  readonly #waiting = new Map<string, TrackedWill>()
  readonly #connects = new Map<string, number>()

  constructor(server: ServerHistory, nowMs: () => number) {
    this.#server = server
    this.#nowMs = nowMs
  }

  connectSent(client: string): void {
    this.#connects.set(client, this.#connectsOf(client) + 1)
  }

  sent(client: string, message: TestMessage, delaySeconds: number): void {
    this.#wills.set(message.payload, {
      client,
      message,
      delayMs: delaySeconds * 1000,
      sentMs: this.#nowMs(),
      connects: this.#connectsOf(client),
      armed: undefined,
      released: undefined,
      cancelled: false,
    })
  }

  armed(message: TestMessage): void {
    const will = this.#wills.get(message.payload)
    if (will !== undefined) will.armed = this.#server.lives
  }

  /** The connection is over. True when the will must be published now. */
  released(client: string, message: TestMessage, how: ConnectionEnd): boolean {
    const will = this.#wills.get(message.payload)
    if (will === undefined) return false
    will.released = how
    if (how !== 'lost' || will.armed === undefined) return false
    if (will.delayMs > 0) this.#waiting.set(client, will)
    return will.delayMs === 0
  }

  /** The client has its session again. */
  resumed(client: string): void {
    const will = this.#takeWaiting(client)
    if (will !== undefined && this.#nowMs() < will.sentMs + will.delayMs - CLOCK_MS) will.cancelled = true
  }

  /** The client has a new session. The will of the earlier one, when it is due by that. */
  ended(client: string): TestMessage | undefined {
    return this.#takeWaiting(client)?.message
  }

  /** Which rule it breaks that this will is delivered, if any. */
  violation(message: TestMessage): string | undefined {
    const will = this.#wills.get(message.payload)
    if (will === undefined) return undefined
    // A server may see the end of a connection before its client does, so an early will without a delay is no violation.
    if (will.released === 'farewell' && will.armed === this.#server.lives) return 'the will of a client that said goodbye [MQTT-3.14.4-3]'
    if (will.cancelled) return 'the will of a client that was back before its delay had passed [MQTT-3.1.3-9]'
    const alone = this.#connectsOf(will.client) === will.connects
    if (alone && this.#nowMs() < will.sentMs + will.delayMs - CLOCK_MS) return 'a will before its delay has passed [MQTT-3.1.3-9]'
    return undefined
  }

  /** The will that waits, unless a CONNECT without an answer has come between: what that has done is unknown. */
  #takeWaiting(client: string): TrackedWill | undefined {
    const will = this.#waiting.get(client)
    this.#waiting.delete(client)
    return will?.connects === this.#connectsOf(client) - 1 ? will : undefined
  }

  #connectsOf(client: string): number {
    return this.#connects.get(client) ?? 0
  }
}
