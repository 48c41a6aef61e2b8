// SPDX-License-Identifier: Apache-2.0
// What an acknowledgement means: the process is killed again and again under load, and nothing that was acknowledged is missing.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { IPublishPacket, Packet } from 'mqtt-packet'
import { RawClient } from './raw-client.ts'
import { ServerProcess, temporaryDirectory } from './server-process.ts'

const PUBLISHERS = 4
const WINDOW = 200
const ROUNDS = 4
/** Messages acknowledged, all publishers together, before the process is killed. */
const KILL_AFTER = 5_000

/** Publishes 'publisher:sequence' without end, a window ahead of the acknowledgements, and resends as the specification asks after a reconnect. */
class Publisher {
  readonly name: string
  readonly #qos: 1 | 2
  readonly #onAck: () => void
  readonly acknowledged = new Set<number>()
  sent = 0
  #client: RawClient | undefined
  /** Packet id to sequence, in order of sending; QoS 2: undefined once PUBREC has come and only PUBREL is owed. */
  readonly #inFlight = new Map<number, number>()
  readonly #owedReleases = new Map<number, number>()
  #packetId = 0

  constructor(name: string, qos: 1 | 2, onAck: () => void) {
    this.name = name
    this.#qos = qos
    this.#onAck = onAck
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

  get outstanding(): number {
    return this.#inFlight.size + this.#owedReleases.size
  }

  /** No new messages; those under way are finished. */
  stopping = false

  #fill(): void {
    while (!this.stopping && this.outstanding < WINDOW) {
      do this.#packetId = (this.#packetId % 65_535) + 1
      while (this.#inFlight.has(this.#packetId) || this.#owedReleases.has(this.#packetId))
      this.#inFlight.set(this.#packetId, ++this.sent)
      this.#send(this.#packetId, this.sent, false)
    }
  }

  #send(messageId: number, sequence: number, dup: boolean): void {
    this.#client?.send({
      cmd: 'publish',
      topic: `load/${this.name}`,
      payload: `${this.name}:${sequence}`,
      qos: this.#qos,
      dup,
      retain: false,
      messageId,
    })
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
    this.#onAck()
  }
}

/** Reads all that is stored for a persistent subscriber, acknowledging it, until `done` says that nothing is missing. */
async function readAll(port: number, clientId: string, done: (received: readonly IPublishPacket[]) => boolean): Promise<IPublishPacket[]> {
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

for (const qos of [1, 2] as const) {
  const what = qos === 1 ? 'at least once' : 'exactly once'
  test(`Q1 kill -9 under load loses no acknowledged QoS ${qos} message; the absent subscriber gets each ${what}, in order`, async (context) => {
    const directory = temporaryDirectory(context)
    let server = await ServerProcess.start({ directory })
    const subscriber = await RawClient.connect(server.port, 'reader', { clean: false })
    subscriber.client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'load/#', qos }] })
    await subscriber.client.next('suback')
    await subscriber.client.disconnect()

    let target = KILL_AFTER
    let reached = (): void => undefined
    let count = 0
    const publishers = Array.from({ length: PUBLISHERS }, (_, at) => new Publisher(`p${at}`, qos, () => ++count === target && reached()))
    for (let round = 0; round < ROUNDS; round++) {
      const enough = new Promise<void>((resolve) => {
        reached = resolve
      })
      for (const publisher of publishers) await publisher.connect(server.port)
      await enough
      await server.kill()
      for (const publisher of publishers) publisher.destroy()
      target = count + KILL_AFTER
      server = await ServerProcess.start({ directory })
    }
    // The publishers come back and finish what they owe, so that every message has a known outcome.
    const finished = new Promise<void>((resolve) => {
      reached = resolve
    })
    for (const publisher of publishers) publisher.stopping = true
    target = publishers.reduce((sum, { sent }) => sum + sent, 0)
    for (const publisher of publishers) await publisher.connect(server.port)
    if (count < target) await finished
    for (const publisher of publishers) assert.equal(publisher.acknowledged.size, publisher.sent)

    const wanted = target
    const distinct = new Set<string>()
    const received = await readAll(server.port, 'reader', (soFar) => {
      const last = soFar[soFar.length - 1]
      if (last !== undefined) distinct.add(last.payload.toString())
      return distinct.size >= wanted
    })
    assertDelivery(publishers, received, qos)
    assert.equal(await server.stop(), 0)
  })
}

function assertDelivery(publishers: readonly Publisher[], received: readonly IPublishPacket[], qos: 1 | 2): void {
  const seen = new Map(publishers.map(({ name }) => [name, new Set<number>()]))
  const highest = new Map<string, number>()
  for (const { payload, topic } of received) {
    const [name, text] = payload.toString().split(':') as [string, string]
    const sequence = Number(text)
    const publisher = publishers.find((candidate) => candidate.name === name)
    assert.ok(publisher !== undefined && sequence >= 1 && sequence <= publisher.sent, `nothing that was never sent: ${payload}`)
    assert.equal(topic, `load/${name}`)
    const already = seen.get(name) as Set<number>
    if (already.has(sequence)) {
      assert.equal(qos, 1, `QoS 2 came twice: ${payload}`)
      continue
    }
    already.add(sequence)
    assert.ok(sequence > (highest.get(name) ?? 0), `in order: ${payload} after ${highest.get(name)}`)
    highest.set(name, sequence)
  }
  for (const { name, acknowledged } of publishers) {
    const missing = [...acknowledged].filter((sequence) => !seen.get(name)?.has(sequence))
    assert.deepEqual(missing, [], `acknowledged messages of ${name} are missing`)
  }
}
