// SPDX-License-Identifier: Apache-2.0
// UTF-8 of topics that are being sent: encoded once, not for every subscriber.

/** Topics remembered; beyond it the memory is emptied and fills again. */
const TOPICS_MAX = 50_000

export class TopicBytes {
  readonly #known = new Map<string, Buffer>()
  #lastTopic = ''
  #lastBytes: Buffer = Buffer.alloc(0)

  of(topic: string): Buffer {
    if (topic === this.#lastTopic) return this.#lastBytes
    let bytes = this.#known.get(topic)
    if (bytes === undefined) {
      if (this.#known.size >= TOPICS_MAX) this.#known.clear()
      bytes = Buffer.from(topic)
      this.#known.set(topic, bytes)
    }
    this.#lastTopic = topic
    this.#lastBytes = bytes
    return bytes
  }
}
