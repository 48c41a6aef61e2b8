// SPDX-License-Identifier: Apache-2.0
// A small broker that is correct by being slow: its whole state is one value, beside the history, written and synced before anything that depends on it is sent.
// It shows that the simulator and its oracle accept a correct broker and, with a planted bug, that they reject an incorrect one.
import { generate, type IConnectPacket, type IPublishPacket, type ISubscribePacket, type Packet, type Parser, parser } from 'mqtt-packet'
import type { Component } from '#base/component'
import type { Channel, ChannelHandler, Listener } from '#base/port/network'
import type { Ports } from '#base/port/ports'
import { matches } from '#base/topic-filter'
import { within } from './checker/subscription-model.ts'
import type { Qos } from './client-observer.ts'
import {
  type Aliases,
  aliased,
  attach,
  type BrokerState,
  expiryOf,
  hasExpired,
  isOver,
  newAliases,
  newSession,
  nextFlight,
  publishPacket,
  qosFor,
  type StoredDelayed,
  type StoredMessage,
  type StoredSession,
  topicOf,
} from './reference-state.ts'
import { type ComposeConfigured, MQTT_PORT } from './simulation.ts'

/** Bugs that brokers have had. The oracle must find each. */
export const PLANTED_BUGS = [
  'acknowledges before it is durable',
  'forgets a subscription on restart',
  'forgets its sessions on restart',
  'forgets received QoS 2 ids on restart',
  'repeats out of order',
  'repeats without DUP',
  'drops retained writes now and then',
  'publishes the will after a farewell',
  'forgets the will on restart',
  'exceeds the receive maximum',
  'delivers what has expired',
  'forwards the whole lifetime',
  'takes seconds of life for milliseconds',
  'ignores the will delay',
  'publishes the will of a client that is back',
  'loses the will with the session',
  'loses history on restart',
  'replays backwards',
  'begins a replay too late',
  'stores a repeated will',
  'keeps the first meaning of a topic alias',
  'keeps its topic aliases over connections',
] as const

export type PlantedBug = (typeof PLANTED_BUGS)[number]

interface Connection {
  readonly channel: Channel
  readonly parser: Parser
  version: 4 | 5
  session: StoredSession | undefined
  aliases: Aliases
}

interface Output {
  readonly connection: Connection
  readonly packet: Packet
}

const ALIASES_MAX = 5
const HISTORY_RANGE = { gte: Buffer.from('h'), lt: Buffer.from('i') }
const STATE_KEY = Buffer.from('state')
const END_GRACE_MS = 2_000

export class ReferenceBroker implements Component {
  readonly name = 'reference broker'
  readonly #ports: Ports
  readonly #bug: PlantedBug | undefined
  readonly #listener: Listener
  readonly #connections = new Set<Connection>()
  readonly #bySession = new Map<StoredSession, Connection>()
  /** By session: for a bug only. */
  readonly #aliases = new Map<string, Aliases>()
  #state: BrokerState = { sessions: [], retained: [], delayed: [] }
  /** All that was published at QoS 1 and 2. Stored message by message, for it only grows. */
  readonly #history: StoredMessage[] = []
  #historyWritten = 0
  /** Waits for the next write. */
  #outputs: Output[] = []
  /** The state has changed since the last write began. */
  #dirty = false
  #committing = false
  #idle: (() => void) | undefined
  #retainedWrites = 0

  constructor(ports: Ports, port: number, bug: PlantedBug | undefined) {
    this.#ports = ports
    this.#bug = bug
    this.#listener = ports.network.listener({ transport: 'tcp', host: '127.0.0.1', port })
  }

  async start(): Promise<void> {
    const stored = await this.#ports.kv.get(STATE_KEY)
    if (stored !== undefined) this.#state = JSON.parse(stored.toString()) as BrokerState
    await this.#readHistory()
    if (this.#bug === 'forgets its sessions on restart') this.#state.sessions = []
    for (const delayed of this.#state.delayed) this.#await(delayed)
    for (const session of [...this.#state.sessions]) {
      if (this.#bug === 'forgets a subscription on restart') session.subscriptions.pop()
      if (this.#bug === 'forgets received QoS 2 ids on restart') session.received = []
      if (this.#bug === 'forgets the will on restart') session.will = undefined
      if (session.connected) this.#leave(session, true)
      else this.#watch(session)
    }
    await this.#listener.start((channel) => this.#accept(channel))
  }

  async stop(): Promise<void> {
    await this.#listener.stop()
    for (const connection of [...this.#connections]) {
      this.#closed(connection, true)
      connection.channel.end(END_GRACE_MS)
    }
    if (this.#committing) await new Promise<void>((resolve) => (this.#idle = resolve))
    await this.#ports.kv.close()
  }

  async #readHistory(): Promise<void> {
    const iterator = this.#ports.kv.iterate(HISTORY_RANGE)
    for (let page = await iterator.next(1000); page.length > 0; page = await iterator.next(1000)) {
      for (const { value } of page) this.#history.push(JSON.parse(value.toString()) as StoredMessage)
    }
    await iterator.close()
    if (this.#bug === 'loses history on restart') this.#history.pop()
    this.#historyWritten = this.#history.length
  }

  #accept(channel: Channel): ChannelHandler {
    const connection: Connection = { channel, parser: parser(), version: 5, session: undefined, aliases: newAliases() }
    this.#connections.add(connection)
    connection.parser.on('packet', (packet) => this.#packet(connection, packet))
    return {
      onData: (chunk) => {
        if (this.#connections.has(connection)) connection.parser.parse(chunk)
      },
      onDrain: () => {},
      onClose: () => this.#closed(connection, true),
    }
  }

  #closed(connection: Connection, willIsDue: boolean): void {
    const session = connection.session
    this.#connections.delete(connection)
    connection.session = undefined
    if (session === undefined) return
    this.#bySession.delete(session)
    this.#leave(session, willIsDue)
  }

  /** The client is gone. */
  #leave(session: StoredSession, willIsDue: boolean): void {
    session.connected = false
    session.awaySinceMs = this.#ports.clock.realtime()
    if (!willIsDue && this.#bug !== 'publishes the will after a farewell') session.will = undefined
    if (session.expirySeconds === 0) this.#endSession(session)
    else if (session.will?.delaySeconds === 0 || this.#bug === 'ignores the will delay') this.#publishWill(session)
    this.#watch(session)
    this.#commit()
  }

  /** Publishes the will and ends the session when their times come, unless the client is back. */
  #watch(session: StoredSession): void {
    const since = session.awaySinceMs
    const elapsedMs = this.#ports.clock.realtime() - since
    const later = (seconds: number, act: () => void): void => {
      this.#ports.clock.after(Math.max(0, seconds * 1000 - elapsedMs), () => {
        if (!session.connected && session.awaySinceMs === since && this.#state.sessions.includes(session)) act()
      })
    }
    if (session.will !== undefined) later(Math.min(session.will.delaySeconds, session.expirySeconds), () => this.#publishWill(session))
    if (hasExpired(session, Number.MAX_SAFE_INTEGER)) later(session.expirySeconds, () => this.#endSession(session))
  }

  #endSession(session: StoredSession): void {
    if (this.#bug === 'loses the will with the session') session.will = undefined
    this.#state.sessions = this.#state.sessions.filter((other) => other !== session)
    this.#publishWill(session)
  }

  #publishWill(session: StoredSession): void {
    const will = session.will
    session.will = undefined
    if (will !== undefined) this.#route(will)
    if (will !== undefined && will.qos > 0 && this.#bug === 'stores a repeated will') this.#history.push(will)
    this.#commit()
  }

  #packet(connection: Connection, packet: Packet): void {
    const session = connection.session
    if (packet.cmd === 'connect') this.#connect(connection, packet)
    else if (session !== undefined) this.#sessionPacket(connection, session, packet)
  }

  #sessionPacket(connection: Connection, session: StoredSession, packet: Packet): void {
    const messageId = packet.messageId ?? 0
    switch (packet.cmd) {
      case 'publish':
        this.#publish(connection, session, packet)
        break
      case 'pubrel':
        session.received = session.received.filter((id) => id !== messageId)
        this.#send(connection, { cmd: 'pubcomp', messageId })
        break
      case 'puback':
      case 'pubcomp':
        session.flights = session.flights.filter((flight) => flight.id !== messageId)
        this.#pump(session)
        break
      case 'pubrec':
        for (const flight of session.flights) if (flight.id === messageId) flight.released = true
        this.#send(connection, { cmd: 'pubrel', messageId })
        break
      case 'subscribe':
        this.#subscribe(connection, session, packet)
        break
      case 'unsubscribe':
        remove(session.subscriptions, ({ filter }) => packet.unsubscriptions.includes(filter))
        this.#send(connection, { cmd: 'unsuback', messageId, granted: packet.unsubscriptions.map(() => 0) })
        break
      case 'pingreq':
        this.#send(connection, { cmd: 'pingresp' })
        break
      case 'disconnect':
        this.#closed(connection, false)
        connection.channel.end(END_GRACE_MS)
        break
      default:
    }
  }

  #connect(connection: Connection, packet: IConnectPacket): void {
    connection.version = packet.protocolVersion === 5 ? 5 : 4
    let session = this.#state.sessions.find(({ id }) => id === packet.clientId)
    const other = session && this.#bySession.get(session)
    if (other !== undefined) {
      other.channel.destroy()
      this.#closed(other, true)
    }
    if (session !== undefined && (packet.clean === true || !this.#state.sessions.includes(session) || hasExpired(session, this.#nowMs()))) {
      this.#endSession(session)
      session = undefined
    }
    const sessionPresent = session !== undefined
    session ??= newSession(packet.clientId)
    if (!sessionPresent) this.#state.sessions.push(session)
    if (this.#bug === 'publishes the will of a client that is back') this.#publishWill(session)
    attach(session, packet)
    if (this.#bug === 'exceeds the receive maximum') session.window += 3
    connection.session = session
    if (this.#bug === 'keeps its topic aliases over connections') connection.aliases = within(this.#aliases, session.id, newAliases)
    connection.aliases.outboundMax = connection.version === 5 ? (packet.properties?.topicAliasMaximum ?? 0) : 0
    this.#bySession.set(session, connection)
    const accepted = connection.version === 5 ? { reasonCode: 0, properties: { topicAliasMaximum: ALIASES_MAX } } : { returnCode: 0 }
    this.#send(connection, { cmd: 'connack', sessionPresent, ...accepted })
    if (this.#bug === 'repeats out of order') session.flights.reverse()
    for (const { id, message, released } of session.flights) {
      this.#send(
        connection,
        released ? { cmd: 'pubrel', messageId: id } : this.#publishPacket(message, id, this.#bug !== 'repeats without DUP'),
      )
    }
    this.#pump(session)
  }

  #publish(connection: Connection, session: StoredSession, packet: IPublishPacket): void {
    const { qos, retain, messageId = 0 } = packet
    const topic = topicOf(packet, connection.aliases, this.#bug === 'keeps the first meaning of a topic alias')
    const repeated = qos === 2 && session.received.includes(messageId)
    if (qos === 2 && !repeated) session.received.push(messageId)
    const expiry = expiryOf(packet, this.#nowMs(), this.#bug === 'takes seconds of life for milliseconds' ? 1 : 1000)
    if (!repeated) this.#take({ topic, qos, retain, payload: packet.payload.toString(), ...expiry })
    if (qos === 0) return
    const acknowledgement: Packet = { cmd: qos === 1 ? 'puback' : 'pubrec', messageId }
    if (this.#bug === 'acknowledges before it is durable') write({ connection, packet: acknowledgement })
    else this.#send(connection, acknowledgement)
  }

  #subscribe(connection: Connection, session: StoredSession, packet: ISubscribePacket): void {
    for (const { topic, qos } of packet.subscriptions) {
      remove(session.subscriptions, ({ filter }) => filter === topic)
      session.subscriptions.push({ filter: topic, qos })
    }
    this.#send(connection, { cmd: 'suback', messageId: packet.messageId ?? 0, granted: packet.subscriptions.map(({ qos }) => qos) })
    const replayFrom = packet.properties?.userProperties?.['replay-from']
    for (const { topic, qos } of packet.subscriptions) {
      if (replayFrom !== undefined) this.#replay(session, topic, qos, replayFrom === 'earliest' ? 0 : Number(replayFrom))
      else
        for (const message of this.#state.retained)
          if (matches(topic, message.topic) && !this.#isOver(message)) this.#enqueue(session, message, qos)
    }
  }

  #replay(session: StoredSession, filter: string, granted: Qos, from: number): void {
    const places = this.#history.map((message, offset) => ({ ...message, offset, retain: false }))
    if (this.#bug === 'replays backwards') places.reverse()
    const first = this.#bug === 'begins a replay too late' && from > 0 ? from + 1 : from
    for (const message of places)
      if (message.offset >= first && matches(filter, message.topic) && !this.#isOver(message)) this.#enqueue(session, message, granted)
  }

  #take(message: StoredMessage): void {
    const [, seconds, topic] = /^\$delayed\/(\d+)\/(.+)$/.exec(message.topic) ?? []
    if (topic === undefined) this.#route(message)
    else {
      const delayed = { dueMs: this.#nowMs() + Number(seconds) * 1000, message: { ...message, topic } }
      this.#state.delayed.push(delayed)
      this.#await(delayed)
    }
  }

  #await(delayed: StoredDelayed): void {
    this.#ports.clock.after(Math.max(0, delayed.dueMs - this.#nowMs()), () => {
      this.#state.delayed = this.#state.delayed.filter((other) => other !== delayed)
      this.#route(delayed.message)
    })
  }

  #route(message: StoredMessage): void {
    if (message.retain) this.#retain(message)
    if (message.qos > 0) this.#history.push(message)
    for (const session of this.#state.sessions) {
      const qos = qosFor(session, message.topic)
      if (qos !== undefined) this.#enqueue(session, { ...message, retain: false }, qos)
    }
    this.#commit()
  }

  #retain(message: StoredMessage): void {
    if (this.#bug === 'drops retained writes now and then' && ++this.#retainedWrites % 5 === 0) return
    this.#state.retained = this.#state.retained.filter(({ topic }) => topic !== message.topic)
    if (message.payload !== '') this.#state.retained.push(message)
  }

  #enqueue(session: StoredSession, message: StoredMessage, granted: Qos): void {
    const connection = this.#bySession.get(session)
    const qos = granted < message.qos ? granted : message.qos
    if (qos > 0) session.queue.push({ ...message, qos })
    else if (connection !== undefined) this.#send(connection, this.#publishPacket({ ...message, qos }, undefined, false))
    this.#pump(session)
  }

  /** Sends what the window has room for. */
  #pump(session: StoredSession): void {
    const connection = this.#bySession.get(session)
    while (connection !== undefined) {
      for (let first = session.queue[0]; first !== undefined && this.#isOver(first); first = session.queue[0]) session.queue.shift()
      const flight = nextFlight(session)
      if (flight === undefined) break
      this.#send(connection, this.#publishPacket(flight.message, flight.id, false))
    }
    this.#commit()
  }

  #isOver(message: StoredMessage): boolean {
    if (this.#bug === 'delivers what has expired') return false
    return isOver(message, this.#nowMs())
  }

  #publishPacket(message: StoredMessage, messageId: number | undefined, dup: boolean): IPublishPacket {
    // At the beginning of all time, nothing of it was over.
    const atMs = this.#bug === 'forwards the whole lifetime' ? 0 : this.#nowMs()
    return publishPacket(message, messageId, dup, atMs)
  }

  #nowMs(): number {
    return this.#ports.clock.realtime()
  }

  /** Sends once the state as it is now, or later, is durable. */
  #send(connection: Connection, packet: Packet): void {
    this.#outputs.push({ connection, packet: packet.cmd === 'publish' ? aliased(packet, connection.aliases) : packet })
    this.#commit()
  }

  #commit(): void {
    this.#dirty = true
    if (this.#committing) return
    this.#committing = true
    this.#ports.clock.endOfTurn(() => void this.#write())
  }

  async #write(): Promise<void> {
    do {
      this.#dirty = false
      const outputs = this.#outputs
      this.#outputs = []
      const batch = [{ key: STATE_KEY, value: Buffer.from(JSON.stringify(this.#state)) }]
      for (; this.#historyWritten < this.#history.length; this.#historyWritten++) {
        const value = Buffer.from(JSON.stringify(this.#history[this.#historyWritten]))
        batch.push({ key: Buffer.from(`h${String(this.#historyWritten).padStart(8, '0')}`), value })
      }
      await this.#ports.kv.write(batch, { sync: true })
      for (const output of outputs) write(output)
    } while (this.#dirty)
    this.#committing = false
    this.#idle?.()
  }
}

/** A node that consists of this broker. */
export const composeReference =
  (bug?: PlantedBug): ComposeConfigured =>
  () =>
  (ports) => [new ReferenceBroker(ports, MQTT_PORT, bug)]

function write({ connection, packet }: Output): void {
  connection.channel.write(generate(packet, { protocolVersion: connection.version }))
}

function remove<T>(from: T[], unwanted: (value: T) => boolean): void {
  const at = from.findIndex(unwanted)
  if (at < 0) return
  from.splice(at, 1)
  remove(from, unwanted)
}
