// SPDX-License-Identifier: Apache-2.0
// A small broker that is correct by being slow: its whole state is one value, written and synced before anything that depends on it is sent.
// It shows that the simulator and its oracle accept a correct broker and, with a planted bug, that they reject an incorrect one.
import { generate, type IConnectPacket, type IPublishPacket, type ISubscribePacket, type Packet, type Parser, parser } from 'mqtt-packet'
import type { Component } from '#base/component'
import type { Channel, ChannelHandler, Listener } from '#base/port/network'
import type { Ports } from '#base/port/ports'
import { matches } from '#base/topic-filter'
import type { Qos } from './client-observer.ts'
import {
  attach,
  type BrokerState,
  hasExpired,
  newSession,
  nextFlight,
  publishPacket,
  qosFor,
  type StoredDelayed,
  type StoredMessage,
  type StoredSession,
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
] as const

export type PlantedBug = (typeof PLANTED_BUGS)[number]

interface Connection {
  readonly channel: Channel
  readonly parser: Parser
  version: 4 | 5
  session: StoredSession | undefined
}

interface Output {
  readonly connection: Connection
  readonly packet: Packet
}

const STATE_KEY = Buffer.from('state')
const END_GRACE_MS = 2_000

export class ReferenceBroker implements Component {
  readonly name = 'reference broker'
  readonly #ports: Ports
  readonly #bug: PlantedBug | undefined
  readonly #listener: Listener
  readonly #connections = new Set<Connection>()
  readonly #bySession = new Map<StoredSession, Connection>()
  #state: BrokerState = { sessions: [], retained: [], delayed: [] }
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

  #accept(channel: Channel): ChannelHandler {
    const connection: Connection = { channel, parser: parser(), version: 5, session: undefined }
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
    else if (session.will?.delaySeconds === 0) this.#publishWill(session)
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
    this.#state.sessions = this.#state.sessions.filter((other) => other !== session)
    this.#publishWill(session)
  }

  #publishWill(session: StoredSession): void {
    const will = session.will
    session.will = undefined
    if (will !== undefined) this.#route(will)
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
    attach(session, packet)
    if (this.#bug === 'exceeds the receive maximum') session.window += 3
    connection.session = session
    this.#bySession.set(session, connection)
    this.#send(connection, { cmd: 'connack', sessionPresent, ...(connection.version === 5 ? { reasonCode: 0 } : { returnCode: 0 }) })
    if (this.#bug === 'repeats out of order') session.flights.reverse()
    for (const { id, message, released } of session.flights) {
      this.#send(connection, released ? { cmd: 'pubrel', messageId: id } : publishPacket(message, id, this.#bug !== 'repeats without DUP'))
    }
    this.#pump(session)
  }

  #publish(connection: Connection, session: StoredSession, packet: IPublishPacket): void {
    const { topic, qos, retain, messageId = 0 } = packet
    const repeated = qos === 2 && session.received.includes(messageId)
    if (qos === 2 && !repeated) session.received.push(messageId)
    if (!repeated) this.#take({ topic, qos, retain, payload: packet.payload.toString() })
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
    for (const { topic, qos } of packet.subscriptions) {
      for (const message of this.#state.retained) if (matches(topic, message.topic)) this.#enqueue(session, message, qos)
    }
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
    else if (connection !== undefined) this.#send(connection, publishPacket({ ...message, qos }, undefined, false))
    this.#pump(session)
  }

  /** Sends what the window has room for. */
  #pump(session: StoredSession): void {
    const connection = this.#bySession.get(session)
    while (connection !== undefined) {
      const flight = nextFlight(session)
      if (flight === undefined) break
      this.#send(connection, publishPacket(flight.message, flight.id, false))
    }
    this.#commit()
  }

  #nowMs(): number {
    return this.#ports.clock.realtime()
  }

  /** Sends once the state as it is now, or later, is durable. */
  #send(connection: Connection, packet: Packet): void {
    this.#outputs.push({ connection, packet })
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
      await this.#ports.kv.write([{ key: STATE_KEY, value: Buffer.from(JSON.stringify(this.#state)) }], { sync: true })
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
