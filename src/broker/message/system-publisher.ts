// SPDX-License-Identifier: Apache-2.0
// Publishes what the server itself has to say, below $SYS. It passes through the logs in memory, whatever is set for storage: nothing of it
// is kept for clients that are away.
import type { Shard, ShardStore } from '#storage'
import type { Publisher } from './publish.ts'

/** No session has this uid. */
export const SYSTEM_UID = 0
const NO_HEADERS = Buffer.alloc(0)

export class SystemPublisher {
  readonly #publisher: Pick<Publisher, 'publishMessage'>
  readonly #store: Pick<ShardStore, 'logOf'>

  constructor(publisher: Pick<Publisher, 'publishMessage'>, store: Pick<ShardStore, 'logOf'>) {
    this.#publisher = publisher
    this.#store = store
  }

  /** At QoS 0. Nobody is told whether it went well: the next value corrects a lost one, and an event is not worth more. */
  publish(topic: string, payload: string): void {
    const log = this.#store.logOf('memory', topic)
    const shard: Shard = { topic, logFor: () => log, retained: log, messageExpiryMs: Number.POSITIVE_INFINITY }
    const message = { topic, qos: 0, retain: false, publisher: SYSTEM_UID, expiryMs: 0, sequence: -1, headers: NO_HEADERS }
    this.#publisher.publishMessage(shard, { ...message, payload: Buffer.from(payload) }, undefined, 0)
  }
}
