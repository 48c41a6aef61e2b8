// SPDX-License-Identifier: Apache-2.0
// A part of a node with a life: started in order, stopped in reverse.
import type { Config } from './config/schema.ts'

export interface Component {
  readonly name: string
  /** Resolves when the component can serve. */
  start(): Promise<void>
  /** The node is to stop while `start` is under way. For a component whose start may wait for others: it lets it end soon, by a rejection. */
  interrupt?(): void
  /** Resolves when nothing of it runs any more and what it owes is durable. */
  stop(): Promise<void>
  /**
   * Takes over another configuration while it runs. It differs from the one before only in keys whose schema says `reload`; the component
   * applies those that are its own.
   */
  reload?(config: Config): void | Promise<void>
  /** Undefined when it can serve, else the reason. */
  unready?(): string | undefined
  /** What somebody should look at although it can serve. */
  warnings?(): readonly string[]
  /** Where it listens, once started, for the line that says the node is ready: 'mqtt 127.0.0.1:1883'. */
  addresses?(): readonly string[]
}
