// SPDX-License-Identifier: Apache-2.0
// A publisher that keeps account of what was acknowledged, and a reader that checks the account.
import assert from 'node:assert/strict'
import { createCipheriv } from 'node:crypto'
import type { IPublishPacket, Packet } from 'mqtt-packet'
import { RawClient } from './raw-client.ts'

export interface PublisherOptions {
  readonly qos: 1 | 2
  /** Messages sent ahead of the acknowledgements. */
  readonly window?: number
  /** Payloads are filled up to this size, with bytes that do not compress. */
  readonly payloadBytes?: number
  /** Called for each acknowledgement. */
  readonly onAck?: () => void
}

const WINDOW_DEFAULT = 200
const FILLING_BYTES = 1024 * 1024

/** A constant, though it looks random: the key stream of a cipher. */
const FILLING = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(FILLING_BYTES))

/** Publishes 'name:sequence.' to 'load/name' without end, a window ahead of the acknowledgements, and resends as the specification asks after a reconnect. */
export class Publisher {
  readonly name: string
  readonly acknowledged = new Set<number>()
  /** No new messages; those under way are finished. */
  stopping = false
  sent = 0
  readonly #options: PublisherOptions
  #client: RawClient | undefined
  /** Packet id to sequence, in order of sending. */
  readonly #inFlight = new Map<number, number>()
  /** QoS 2: PUBREC has come and only PUBREL is owed. */
  readonly #owedReleases = new Map<number, number>()
  #packetId = 0
  #wanted = Number.POSITIVE_INFINITY
  #reached = (): void => undefined

  constructor(name: string, options: PublisherOptions) {
    this.name = name
    this.#options = options
  }

  async connect(port: number): Promise<void> {
    const { client, connack } = await RawClient.connect(port, this.name, { clean: false })
    this.#client = client
    client.onPacket = (packet) => this.#onPacket(packet)
    if (this.sent > 0) assert.ok(connack.sessionPresent, 'the session of a publisher that was connected is there again')
    for (const messageId of this.#owedReleases.keys()) client.send({ cmd: 'pubrel', messageId })
    for (const [messageId, sequence] of this.#inFlight) this.#send(messageId, sequence, true)
    this.#fill()
  }

  destroy(): void {
    this.#client?.destroy()
  }

  /** Resolves when the server has closed the connection; acknowledgements that came before it are counted. */
  async untilClosed(): Promise<void> {
    await this.#client?.untilClosed()
  }

  /** Resolves when so many messages are acknowledged in all. */
  untilAcknowledged(count: number): Promise<void> {
    if (this.acknowledged.size >= count) return Promise.resolve()
    this.#wanted = count
    return new Promise((resolve) => {
      this.#reached = resolve
    })
  }

  /** Connects, sends nothing new, and resolves when everything ever sent is acknowledged. */
  async finish(port: number): Promise<void> {
    this.stopping = true
    await this.connect(port)
    await this.untilAcknowledged(this.sent)
    this.destroy()
  }

  get outstanding(): number {
    return this.#inFlight.size + this.#owedReleases.size
  }

  #fill(): void {
    while (!this.stopping && this.outstanding < (this.#options.window ?? WINDOW_DEFAULT)) {
      do this.#packetId = (this.#packetId % 65_535) + 1
      while (this.#inFlight.has(this.#packetId) || this.#owedReleases.has(this.#packetId))
      this.#inFlight.set(this.#packetId, ++this.sent)
      this.#send(this.#packetId, this.sent, false)
    }
  }

  #send(messageId: number, sequence: number, dup: boolean): void {
    const { qos, payloadBytes = 0 } = this.#options
    const name = `${this.name}:${sequence}.`
    const from = (sequence * 997) % (FILLING_BYTES - payloadBytes)
    const payload =
      payloadBytes <= name.length ? name : Buffer.concat([Buffer.from(name), FILLING.subarray(from, from + payloadBytes - name.length)])
    this.#client?.send({ cmd: 'publish', topic: `load/${this.name}`, payload, qos, dup, retain: false, messageId })
  }

  #onPacket(packet: Packet): boolean {
    const messageId = packet.messageId as number
    if (packet.cmd === 'pubrec') {
      const sequence = this.#inFlight.get(messageId)
      if (sequence !== undefined) {
        this.#inFlight.delete(messageId)
        this.#owedReleases.set(messageId, sequence)
        this.#acknowledge(sequence)
      }
      this.#client?.send({ cmd: 'pubrel', messageId })
    } else if (packet.cmd === 'pubcomp') {
      this.#owedReleases.delete(messageId)
    } else if (packet.cmd === 'puback') {
      const sequence = this.#inFlight.get(messageId)
      assert.notEqual(sequence, undefined, 'a message is acknowledged once')
      this.#inFlight.delete(messageId)
      this.#acknowledge(sequence as number)
    } else return false
    this.#fill()
    return true
  }

  #acknowledge(sequence: number): void {
    this.acknowledged.add(sequence)
    this.#options.onAck?.()
    if (this.acknowledged.size >= this.#wanted) {
      this.#wanted = Number.POSITIVE_INFINITY
      this.#reached()
    }
  }
}

/** Makes the persistent session that is going to read everything, and leaves. */
export async function subscribeAndLeave(port: number, clientId: string, qos: 1 | 2, filter = 'load/#'): Promise<void> {
  const { client } = await RawClient.connect(port, clientId, { clean: false })
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: filter, qos }] })
  await client.next('suback')
  await client.disconnect()
}

/** Reads all that is stored for a persistent subscriber, acknowledging it, until `done` says that nothing is missing. */
export async function readAll(
  port: number,
  clientId: string,
  done: (received: readonly IPublishPacket[]) => boolean,
): Promise<IPublishPacket[]> {
  const { client, connack } = await RawClient.connect(port, clientId, { clean: false })
  assert.ok(connack.sessionPresent, 'the subscriber’s session has survived')
  const received: IPublishPacket[] = []
  while (!done(received)) {
    const packet = await client.next('publish')
    received.push(packet)
    client.send({ cmd: packet.qos === 2 ? 'pubrec' : 'puback', messageId: packet.messageId as number })
    if (packet.qos === 2) {
      client.onPacket = (answer) => {
        if (answer.cmd !== 'pubrel') return false
        client.send({ cmd: 'pubcomp', messageId: answer.messageId as number })
        return true
      }
    }
  }
  const rest = (await client.drain()).filter((packet) => packet.cmd === 'publish')
  client.destroy()
  return [...received, ...rest]
}

/** 'name:sequence' */
const nameOf = (payload: Buffer | string): string => payload.toString('latin1', 0, 40).split('.', 1)[0] as string

/** For `readAll`: true when as many different payloads have come. */
export function distinctReached(count: number): (received: readonly IPublishPacket[]) => boolean {
  const distinct = new Set<string>()
  return (received) => {
    const last = received[received.length - 1]
    if (last !== undefined) distinct.add(nameOf(last.payload))
    return distinct.size >= count
  }
}

/** For `readAll`: true when the last message of each publisher has come. */
export function lastReached(publishers: readonly Publisher[]): (received: readonly IPublishPacket[]) => boolean {
  const owed = new Set(publishers.map(({ name, sent }) => `${name}:${sent}`))
  return (received) => {
    const last = received[received.length - 1]
    if (last !== undefined) owed.delete(nameOf(last.payload))
    return owed.size === 0
  }
}

export interface DeliveryExpectation {
  readonly qos: 1 | 2
  /** Retention may have removed the oldest messages of each publisher: then what is left has no holes. */
  readonly oldestRemoved?: boolean
}

/** Nothing acknowledged is missing, nothing was made up, each publisher's messages are in order; QoS 2 has no repetition. */
export function assertDelivery(
  publishers: readonly Publisher[],
  received: readonly IPublishPacket[],
  { qos, oldestRemoved = false }: DeliveryExpectation,
): void {
  const seen = new Map(publishers.map(({ name }) => [name, new Set<number>()]))
  const highest = new Map<string, number>()
  for (const { payload, topic } of received) {
    const [name, text] = nameOf(payload).split(':') as [string, string]
    const sequence = Number(text)
    const publisher = publishers.find((candidate) => candidate.name === name)
    assert.ok(publisher !== undefined && sequence >= 1 && sequence <= publisher.sent, `nothing that was never sent: ${text}`)
    assert.equal(topic, `load/${name}`)
    const already = seen.get(name) as Set<number>
    if (already.has(sequence)) {
      assert.equal(qos, 1, `QoS 2 came twice: ${name}:${sequence}`)
      continue
    }
    already.add(sequence)
    assert.ok(sequence > (highest.get(name) ?? 0), `in order: ${sequence} after ${highest.get(name)}`)
    highest.set(name, sequence)
  }
  for (const { name, acknowledged } of publishers) {
    const got = seen.get(name) ?? new Set()
    const first = oldestRemoved ? Math.min(...got) : 0
    const missing = [...acknowledged].filter((sequence) => sequence > first && !got.has(sequence))
    assert.deepEqual(missing, [], `acknowledged messages of ${name} are missing`)
  }
}
