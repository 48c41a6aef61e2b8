// SPDX-License-Identifier: Apache-2.0
// A publisher and a subscriber at QoS 1 that mind their own business: one message at a time, the next when the last one has arrived and is
// acknowledged. Whatever others do to the server, these two must not notice.
import assert from 'node:assert/strict'
import { RawClient } from './raw-client.ts'

const TOPIC = 'bystander/talk'

export class Bystander {
  rounds = 0
  longestMs = 0
  readonly #publisher: RawClient
  readonly #subscriber: RawClient
  #stopping = false
  readonly #talking: Promise<void>

  private constructor(publisher: RawClient, subscriber: RawClient) {
    this.#publisher = publisher
    this.#subscriber = subscriber
    this.#talking = this.#talk()
    // Told by `stop`; until then it must not count as unhandled.
    this.#talking.catch(() => undefined)
  }

  static async start(port: number): Promise<Bystander> {
    const { client: subscriber } = await RawClient.connect(port, 'bystander-in', { keepalive: 60 })
    subscriber.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: TOPIC, qos: 1 }] })
    await subscriber.next('suback')
    const { client: publisher } = await RawClient.connect(port, 'bystander-out', { keepalive: 60 })
    return new Bystander(publisher, subscriber)
  }

  /** Resolves when so many more rounds are done; rejects when the talk has broken down. */
  async further(rounds: number): Promise<void> {
    const goal = this.rounds + rounds
    while (this.rounds < goal) await Promise.race([this.#round, this.#talking])
  }

  /** Rejects when any message was lost, changed or repeated, or a connection ended. Says how the talk went. */
  async stop(): Promise<string> {
    this.#stopping = true
    await this.#talking
    this.#publisher.destroy()
    this.#subscriber.destroy()
    assert.ok(this.rounds > 0)
    return `bystander: ${this.rounds} rounds, the longest ${this.longestMs.toFixed(0)} ms`
  }

  #round: Promise<void> = Promise.resolve()

  async #talk(): Promise<void> {
    while (!this.#stopping) {
      const since = performance.now()
      this.#round = this.#exchange(this.rounds + 1)
      await this.#round
      this.rounds++
      this.longestMs = Math.max(this.longestMs, performance.now() - since)
    }
  }

  async #exchange(round: number): Promise<void> {
    const messageId = (round % 65_535) + 1
    this.#publisher.send({ cmd: 'publish', topic: TOPIC, payload: `round ${round}`, qos: 1, dup: false, retain: false, messageId })
    const packet = await this.#subscriber.next('publish')
    assert.equal(packet.payload.toString(), `round ${round}`)
    this.#subscriber.send({ cmd: 'puback', messageId: packet.messageId as number })
    assert.equal((await this.#publisher.next('puback')).messageId, messageId)
  }
}
