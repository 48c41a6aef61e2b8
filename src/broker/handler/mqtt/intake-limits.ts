// SPDX-License-Identifier: Apache-2.0
// Decides after each chunk whether a connection is read further: back-pressure of the node, rates of the client, and alarms that concern publishers. One reason
// at a time holds a connection up; when it is over, the next chunk finds out about the others.

import type { Timer } from '#base/port/clock'
import type { Channel } from '#base/port/network'
import type { Pausable } from '../../network/backpressure.ts'
import type { ListenerTraffic } from '../../network/listener-traffic.ts'
import { RateLimit } from '../../network/rate-limit.ts'
import type { BrokerContext } from './context.ts'

export class IntakeLimits {
  readonly #context: BrokerContext
  readonly #channel: Channel
  readonly #traffic: ListenerTraffic
  readonly #connection: Pausable
  /** From the first time that there is a limit. */
  #messageRate: RateLimit | undefined
  #byteRate: RateLimit | undefined
  #timer: Timer | undefined
  #messages = 0
  #held = false
  #ended = false

  constructor(context: BrokerContext, channel: Channel, traffic: ListenerTraffic, connection: Pausable) {
    this.#context = context
    this.#channel = channel
    this.#traffic = traffic
    this.#connection = connection
  }

  /** The client is silent because it is not listened to. */
  get held(): boolean {
    return this.#held
  }

  /** It has published a message. */
  published(): void {
    this.#messages++
  }

  /** A chunk has been read. */
  review(bytes: number): void {
    const messages = this.#messages
    this.#messages = 0
    const waitMs = this.#owedMs(messages, bytes)
    // What still comes while it is held counts, and is taken: the transport had read it already.
    if (this.#held) return
    const { backpressure, diskAlarm, memoryAlarm, metrics } = this.#context
    if (waitMs > 0) {
      this.#hold()
      this.#timer = this.#context.clock.after(waitMs, () => this.#connection.resumeReading())
    } else if (messages > 0 && diskAlarm.raised) {
      this.#hold()
      metrics.limits.disk_free.add(1)
      diskAlarm.wait(this.#connection)
    } else if (messages > 0 && memoryAlarm.raised) {
      this.#hold()
      metrics.limits.memory_high.add(1)
      memoryAlarm.wait(this.#connection)
    } else if (backpressure.holds(this.#connection.publisher) || !this.#connection.relieved) {
      this.#hold()
      backpressure.wait(this.#connection)
    }
  }

  /** Reads on. */
  release(): void {
    if (this.#ended) return
    this.#held = false
    this.#channel.resume()
  }

  end(): void {
    this.#ended = true
    this.#timer?.cancel()
    this.#context.diskAlarm.forget(this.#connection)
    this.#context.memoryAlarm.forget(this.#connection)
  }

  #hold(): void {
    this.#held = true
    this.#channel.pause()
  }

  #owedMs(messages: number, bytes: number): number {
    const { clock, config, metrics } = this.#context
    const { maxMessageRate, maxByteRate } = config
    let waitMs = this.#traffic.take(messages, bytes)
    if (waitMs > 0) metrics.limits.listener_rate.add(1)
    if (maxMessageRate > 0 && messages > 0) {
      this.#messageRate ??= new RateLimit(clock)
      const messageWaitMs = this.#messageRate.take(messages, maxMessageRate)
      if (messageWaitMs > 0) metrics.limits.message_rate.add(1)
      waitMs = Math.max(waitMs, messageWaitMs)
    }
    if (maxByteRate > 0) {
      this.#byteRate ??= new RateLimit(clock)
      const byteWaitMs = this.#byteRate.take(bytes, maxByteRate)
      if (byteWaitMs > 0) metrics.limits.byte_rate.add(1)
      waitMs = Math.max(waitMs, byteWaitMs)
    }
    return waitMs
  }
}
