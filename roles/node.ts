// SPDX-License-Identifier: Apache-2.0
// The life of a node: components start in order and stop in reverse.
import { assert } from '#base/assert'
import type { Component } from '#base/component'
import type { Config } from '#base/config/schema'
import { messageOf } from '#base/error'
import type { Clock } from '#base/port/clock'
import type { Logger } from '#base/port/logger'

/** The time in which everything must have stopped. Container runtimes kill after 10 s. */
export const STOP_MS_MAX = 9_500

export type StopOutcome =
  | { readonly kind: 'clean' }
  /** What failed to stop, or had not stopped in time. What it owed may not be durable. */
  | { readonly kind: 'unclean'; readonly problems: readonly string[] }

export class Node {
  readonly #clock: Clock
  readonly #logger: Logger
  #components: readonly Component[] = []
  /** The first so many of the components have been started, or are being started. */
  #startedCount = 0
  #state: 'starting' | 'running' | 'stopping' = 'starting'
  #starting: Promise<void> = Promise.resolve()
  #stopping: Promise<StopOutcome> | undefined
  /** What the stop waits for. */
  #stoppingName = 'the start'

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger.scope('node')
  }

  /**
   * Starts the components, each once the one before it can serve. Rejects with the first failure; what has been started is stopped by then.
   * Returns 'stopped' when `stop` was called meanwhile.
   */
  async start(components: readonly Component[]): Promise<'running' | 'stopped'> {
    assert(this.#components.length === 0, 'a node starts once')
    this.#components = components
    this.#starting = this.#startAll()
    try {
      await this.#starting
    } catch (error) {
      await this.stop()
      throw error
    }
    return this.#state === 'running' ? 'running' : 'stopped'
  }

  /** Stops what was started, in reverse. Takes at most STOP_MS_MAX; never rejects. Repeated calls share one stop. */
  stop(): Promise<StopOutcome> {
    if (this.#state === 'starting') this.#components[this.#startedCount - 1]?.interrupt?.()
    this.#state = 'stopping'
    this.#stopping ??= this.#stopInTime()
    return this.#stopping
  }

  /** Hands a configuration to the components in the order of their start. Returns which of them failed to take it over; never rejects. */
  async reload(config: Config): Promise<readonly string[]> {
    const problems: string[] = []
    for (const component of this.#components) {
      if (this.#state !== 'running') break
      try {
        await component.reload?.(config)
      } catch (error) {
        problems.push(`${component.name}: ${messageOf(error)}`)
      }
    }
    return problems
  }

  /** Why the node cannot serve, one reason for each component; empty when it can. */
  unready(): readonly string[] {
    if (this.#state !== 'running') return [`node: ${this.#state}`]
    return this.#components.flatMap((component) => {
      const reason = component.unready?.()
      return reason === undefined ? [] : [`${component.name}: ${reason}`]
    })
  }

  /** What somebody should look at although the node serves. */
  warnings(): readonly string[] {
    return this.#components.flatMap((component) => (component.warnings?.() ?? []).map((warning) => `${component.name}: ${warning}`))
  }

  /** Where the node listens. */
  addresses(): readonly string[] {
    return this.#components.flatMap((component) => component.addresses?.() ?? [])
  }

  async #startAll(): Promise<void> {
    for (const component of this.#components) {
      if (this.#state === 'stopping') return
      this.#startedCount += 1
      await component.start()
      this.#logger.log('debug', 'started', { component: component.name })
    }
    if (this.#state === 'starting') this.#state = 'running'
  }

  async #stopInTime(): Promise<StopOutcome> {
    const problems: string[] = []
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(STOP_MS_MAX, () => {
        problems.push(`${this.#stoppingName} did not stop within ${STOP_MS_MAX} ms`)
        resolve()
      })
      void this.#stopAll(problems).then(() => {
        timer.cancel()
        resolve()
      })
    })
    return problems.length === 0 ? { kind: 'clean' } : { kind: 'unclean', problems }
  }

  /** A component that fails to stop does not keep the others from stopping. One whose start failed is stopped too: it may hold something. */
  async #stopAll(problems: string[]): Promise<void> {
    await Promise.allSettled([this.#starting])
    for (const component of this.#components.slice(0, this.#startedCount).reverse()) {
      this.#stoppingName = component.name
      try {
        await component.stop()
        this.#logger.log('debug', 'stopped', { component: component.name })
      } catch (error) {
        problems.push(`${component.name}: ${messageOf(error)}`)
      }
    }
  }
}
