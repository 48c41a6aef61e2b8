// SPDX-License-Identifier: Apache-2.0
// A simulated MQTT client (3.1.1 or 5.0) that follows the specification strictly, keeps its session across connections, and holds the server to
// its side: Session Present, packet ids, DUP flags, order, receive maximum.
import type { IConnackPacket, IConnectPacket, IPublishPacket, ISubackPacket, Packet } from 'mqtt-packet'
import { must } from '#base/assert'
import { ClientAliases } from './client-aliases.ts'
import { ClientConnection } from './client-connection.ts'
import { ClientInbound } from './client-inbound.ts'
import type { ClientObserver, ConnectionEnd, Qos, ServerHistory, TestMessage } from './client-observer.ts'
import { ClientOutbound, type OutboundOptions } from './client-outbound.ts'
import type { SimNetwork } from './network.ts'
import type { SimRandom } from './random.ts'
import { SimFailure, type World } from './world.ts'

export const EXPIRY_NEVER_SECONDS = 0xffffffff

export interface MqttClientOptions extends OutboundOptions {
  readonly id: string
  readonly version: 4 | 5
  readonly port: number
  /** 0: the session ends with the connection. With version 4 anything else is for ever. */
  readonly sessionExpirySeconds: number
  readonly keepAliveSeconds: number
  /** Most QoS 1 and 2 messages that the server may have in flight to this client. Version 4 cannot say it. */
  readonly receiveMaximum: number
  /** Topic aliases that the server may give. Version 4 has none. */
  readonly topicAliasMaximum: number
  /** Gives topic aliases itself, if the server allows them. */
  readonly givesAliases: boolean
  /** All its subscriptions are shared. */
  readonly shares?: boolean
  /** Mean time after which a received message is acknowledged. */
  readonly acknowledgeDelayMs: number
}

export interface Will {
  readonly message: TestMessage
  readonly delaySeconds: number
}

export interface ClientSubscription {
  readonly filter: string
  readonly qos: Qos
}

/** 'leaving': DISCONNECT was sent, the connection has not ended. */
export type ClientState = 'offline' | 'connecting' | 'online' | 'leaving'

/** What the server must hold for this client: 'maybe' after a CONNECT without an answer, or when the session may have expired. */
type ServerSession = 'none' | 'maybe' | 'there'

interface Request {
  readonly subscriptions?: readonly ClientSubscription[]
  readonly filters?: readonly string[]
}

const REFUSALS_5 = [0x88, 0x89, 0x8b, 0x97, 0x9f]
const REFUSAL_4 = 3
const RECEIVE_MAXIMUM_DEFAULT = 65_535

export class MqttClient {
  readonly options: MqttClientOptions
  readonly #server: ServerHistory
  readonly #world: World
  readonly #network: SimNetwork
  readonly #random: SimRandom
  readonly #observer: ClientObserver
  readonly #outbound: ClientOutbound
  readonly #inbound: ClientInbound
  readonly #pending: TestMessage[] = []
  readonly #requests = new Map<number, Request>()
  /** Filters that SUBACK has confirmed, in the present session. */
  readonly #subscribed = new Set<string>()
  #connection: ClientConnection | undefined
  #aliases: ClientAliases
  #connectingSinceMs = 0
  #state: ClientState = 'offline'
  #serverSession: ServerSession = 'none'
  /** The same, should this connection end before its CONNACK. */
  #serverSessionUnanswered: ServerSession = 'none'
  #cleanStart = true
  /** A CONNECT that may have begun another session was sent and not answered. */
  #cleanStartOwed = false
  #will: Will | undefined
  #deathsSeen = 0
  #confirmedMs = 0
  #acknowledging = false

  constructor(
    world: World,
    network: SimNetwork,
    random: SimRandom,
    options: MqttClientOptions,
    observer: ClientObserver,
    server: ServerHistory,
  ) {
    this.#world = world
    this.#network = network
    this.#random = random
    this.options = options
    this.#observer = observer
    this.#server = server
    this.#outbound = new ClientOutbound(options.id, options)
    this.#inbound = new ClientInbound(options.id, this.#receiveMaximum)
    this.#aliases = this.#newAliases()
  }

  get state(): ClientState {
    return this.#state
  }

  get persistent(): boolean {
    return this.options.sessionExpirySeconds > 0
  }

  /** Messages handed over and not yet acknowledged. */
  get backlog(): number {
    return this.#pending.length + this.#outbound.inFlight
  }

  /** No SUBSCRIBE or UNSUBSCRIBE waits for its answer. */
  get ready(): boolean {
    return this.#requests.size === 0
  }

  isSubscribed(filter: string): boolean {
    return this.#subscribed.has(filter)
  }

  /** Opens a connection; one that exists is left to itself, and the server has to take the session over. */
  connect(cleanStart: boolean, will: Will | undefined): void {
    if (this.#state !== 'offline') this.drop('vanish')
    const { id, version, port, keepAliveSeconds } = this.options
    // MQTT 3.1.1 has one flag: a session that is not to be kept begins clean, too [MQTT-3.1.2-6]. After a CONNECT without an answer the session of the server may be
    // another than that of which this client knows what is in flight; that it is present would not tell.
    this.#cleanStart = cleanStart || this.#cleanStartOwed || (version === 4 && !this.persistent)
    this.#will = will
    this.#serverSessionUnanswered = this.#serverSession
    this.#state = 'connecting'
    const connection: ClientConnection = new ClientConnection(
      this.#world,
      this.#network,
      this.#random,
      { client: id, port, version, keepAliveMs: keepAliveSeconds * 1000 },
      {
        opened: () => this.#introduce(connection),
        packet: (packet) => this.#receive(packet),
        lost: () => this.#lost(),
      },
    )
    this.#connection = connection
    this.#aliases = this.#newAliases()
  }

  /** Says goodbye: the will is cancelled. */
  disconnect(): void {
    if (this.#state !== 'online') return
    const packet: Packet = this.options.version === 5 ? { cmd: 'disconnect', reasonCode: 0 } : { cmd: 'disconnect' }
    this.#state = 'leaving'
    this.#connection?.farewell(packet)
  }

  drop(how: 'reset' | 'vanish'): void {
    if (this.#state === 'offline') return
    this.#connection?.drop(how)
    this.#lost()
  }

  stall(durationMs: number): void {
    this.#connection?.stall(durationMs)
  }

  publish(message: TestMessage): void {
    this.#pending.push(message)
    this.#flush()
  }

  /** False when not online: subscriptions are not queued. */
  subscribe(subscriptions: readonly ClientSubscription[]): boolean {
    if (this.#state !== 'online') return false
    const messageId = this.#outbound.request()
    this.#requests.set(messageId, { subscriptions })
    for (const { filter, qos } of subscriptions) this.#observer.subscribeSent(this.options.id, filter, qos)
    this.#send({ cmd: 'subscribe', messageId, subscriptions: subscriptions.map(({ filter, qos }) => ({ topic: filter, qos })) })
    return true
  }

  unsubscribe(filters: readonly string[]): boolean {
    if (this.#state !== 'online') return false
    const messageId = this.#outbound.request()
    this.#requests.set(messageId, { filters })
    for (const filter of filters) {
      this.#subscribed.delete(filter)
      this.#observer.unsubscribeSent(this.options.id, filter)
    }
    this.#send({ cmd: 'unsubscribe', messageId, unsubscriptions: [...filters] })
    return true
  }

  /** With version 4, a session that begins clean ends with its connection [MQTT-3.1.2-6]. */
  get #sessionOutlives(): boolean {
    return this.persistent && !(this.options.version === 4 && this.#cleanStart)
  }

  get #receiveMaximum(): number {
    return this.options.version === 5 ? this.options.receiveMaximum : RECEIVE_MAXIMUM_DEFAULT
  }

  #introduce(connection: ClientConnection): void {
    if (connection !== this.#connection) return
    const { id, version, sessionExpirySeconds, keepAliveSeconds, receiveMaximum, topicAliasMaximum } = this.options
    const will = this.#will
    const packet: IConnectPacket = {
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: version,
      clientId: id,
      clean: this.#cleanStart,
      keepalive: keepAliveSeconds,
    }
    if (version === 5) packet.properties = { sessionExpiryInterval: sessionExpirySeconds, receiveMaximum, topicAliasMaximum }
    this.#connectingSinceMs = this.#world.nowMs
    this.#cleanStartOwed = this.#cleanStart || this.#serverSession !== 'there' || this.#mayHaveExpired()
    this.#observer.connectSent(id)
    if (will !== undefined) {
      const { topic, payload, qos, retain } = will.message
      packet.will = { topic, payload, qos, retain, ...(version === 5 ? { properties: { willDelayInterval: will.delaySeconds } } : {}) }
      // The delay ends with the session [MQTT-3.1.3-9].
      this.#observer.willSent(id, will.message, version === 4 ? 0 : Math.min(will.delaySeconds, sessionExpirySeconds))
    }
    const begins = this.persistent && (this.#cleanStart || this.#serverSession === 'none')
    this.#serverSessionUnanswered = begins ? 'maybe' : this.#serverSession
    connection.send(packet)
  }

  /** Counted from when the server certainly had the connection, it may have seen it end right after, to now, when it has decided. */
  #mayHaveExpired(): boolean {
    const { version, sessionExpirySeconds } = this.options
    if (version === 4 || sessionExpirySeconds === EXPIRY_NEVER_SECONDS) return false
    return this.#world.nowMs - this.#confirmedMs >= sessionExpirySeconds * 1000
  }

  #receive(packet: Packet): void {
    if (packet.cmd === 'connack') {
      this.#connected(packet)
      return
    }
    if (this.#state !== 'online') this.#violated(`${packet.cmd} came before CONNACK [MQTT-3.2.0-1]`)
    switch (packet.cmd) {
      case 'publish':
        this.#received(packet)
        break
      case 'puback':
        this.#settle(this.#outbound.acknowledged(packet.messageId ?? 0), packet.reasonCode)
        break
      case 'pubrec':
        this.#recorded(packet.messageId ?? 0, packet.reasonCode)
        break
      case 'pubrel':
        this.#inbound.release(packet.messageId ?? 0)
        this.#acknowledgeLater()
        break
      case 'pubcomp':
        this.#settle(this.#outbound.completed(packet.messageId ?? 0), 0)
        break
      case 'suback':
        this.#confirmed(packet)
        break
      case 'unsuback':
        this.#unsubscribed(packet.messageId ?? 0)
        break
      case 'disconnect':
        break
      default:
        this.#violated(`a server does not send ${packet.cmd}`)
    }
  }

  #connected(packet: IConnackPacket): void {
    if (this.#state !== 'connecting') this.#violated('CONNACK came twice')
    const code = (this.options.version === 5 ? packet.reasonCode : packet.returnCode) ?? 0
    if (code !== 0) {
      const allowed = this.options.version === 5 ? REFUSALS_5.includes(code) : code === REFUSAL_4
      if (!allowed || packet.sessionPresent) this.#violated(`CONNECT was refused with code ${code}, present ${packet.sessionPresent}`)
      return
    }
    if (this.#serverSession === 'there' && this.#mayHaveExpired()) {
      this.#serverSession = 'maybe'
      this.#sessionEnded()
    }
    this.#checkPresent(packet.sessionPresent)
    this.#cleanStartOwed = false
    const serverDied = this.#deathsSeen !== this.#server.deaths
    this.#deathsSeen = this.#server.deaths
    this.#serverSession = 'there'
    this.#state = 'online'
    if (this.#will !== undefined) this.#observer.willArmed(this.#will.message)
    this.#inbound.begin(packet.sessionPresent, serverDied, this.options.shares)
    if (!packet.sessionPresent) {
      this.#outbound.discard()
      this.#subscribed.clear()
      this.#observer.sessionBegan(this.options.id)
    } else this.#observer.sessionResumed(this.options.id)
    if (this.options.givesAliases) this.#aliases.begin(packet.properties?.topicAliasMaximum ?? 0)
    const { packets, repeated } = this.#outbound.begin(packet.properties?.receiveMaximum ?? RECEIVE_MAXIMUM_DEFAULT)
    for (const message of repeated) this.#observer.publishRepeated(message)
    for (const resent of packets) this.#send(resent)
    this.#flush()
  }

  /** Q11: Session Present is truthful. */
  #checkPresent(present: boolean): void {
    if (this.#cleanStart && present) this.#violated('a clean start finds no session [MQTT-3.2.2-2]')
    if (this.#cleanStart) return
    if (present && this.#serverSession === 'none') this.#violated('Session Present, but there was no session [MQTT-3.2.2-3]')
    if (!present && this.#serverSession === 'there') this.#violated('the session is lost: no Session Present [MQTT-3.2.2-2]')
  }

  #received(packet: IPublishPacket): void {
    const payload = packet.payload.toString()
    const topic = this.#aliases.incoming(packet)
    if (packet.qos === 0 && packet.dup) this.#violated('DUP is 0 with QoS 0 [MQTT-3.3.1-2]')
    const accepted = packet.qos === 0 || this.#inbound.accept(packet, payload)
    if (packet.qos > 0) this.#acknowledgeLater()
    if (!accepted) return
    const { qos, dup: duplicate, retain } = packet
    const lifetimeSeconds = packet.properties?.messageExpiryInterval
    const tellsLifetime = this.options.version === 5
    const connectingSinceMs = this.#connectingSinceMs
    this.#observer.delivered(this.options.id, {
      topic,
      payload,
      qos,
      duplicate,
      retain,
      lifetimeSeconds,
      tellsLifetime,
      connectingSinceMs,
    })
  }

  #recorded(id: number, reasonCode = 0): void {
    const failed = reasonCode >= 0x80
    const message = this.#outbound.recorded(id, failed)
    if (failed) this.#observer.publishRefused(message)
    else this.#send({ cmd: 'pubrel', messageId: id })
    this.#flush()
  }

  #settle(message: TestMessage, reasonCode = 0): void {
    if (reasonCode >= 0x80) this.#observer.publishRefused(message)
    else this.#observer.publishAcknowledged(message)
    this.#flush()
  }

  #confirmed(packet: ISubackPacket): void {
    const id = packet.messageId ?? 0
    this.#outbound.answered(id)
    const subscriptions = this.#takeRequest(id).subscriptions ?? []
    const granted = packet.granted as number[]
    if (granted.length !== subscriptions.length) this.#violated('SUBACK has a code for each filter [MQTT-3.8.4-6]')
    subscriptions.forEach(({ filter, qos }, at) => {
      const code = must(granted[at], 'the lengths are equal')
      if (code !== qos) this.#violated(`SUBSCRIBE ${filter} at QoS ${qos} was answered with ${code}`)
      this.#subscribed.add(filter)
      this.#observer.subscribed(this.options.id, filter)
    })
  }

  #unsubscribed(id: number): void {
    this.#outbound.answered(id)
    if (this.#takeRequest(id).filters === undefined) this.#violated('UNSUBACK answers a SUBSCRIBE')
  }

  #takeRequest(id: number): Request {
    const request = must(this.#requests.get(id), 'a request under way is remembered')
    this.#requests.delete(id)
    return request
  }

  /** Sends what the window has room for. */
  #flush(): void {
    while (this.#state === 'online' && this.#pending.length > 0) {
      const next = this.#pending[0] as TestMessage
      if (next.qos > 0 && !this.#outbound.hasRoom) return
      this.#pending.shift()
      this.#observer.publishBegan(next)
      this.#send(this.#outbound.send(next))
    }
  }

  #acknowledgeLater(): void {
    if (this.#acknowledging) return
    this.#acknowledging = true
    const connection = this.#connection
    this.#world.schedule('client', undefined, this.#random.delayMs(this.options.acknowledgeDelayMs), () => {
      this.#acknowledging = false
      if (this.#state !== 'online' || !this.#inbound.owesAcknowledgements) return
      const count = connection === this.#connection ? this.#random.range(1, 8) : 0
      for (let at = 0; at < count && this.#inbound.owesAcknowledgements; at++) this.#send(this.#inbound.nextAcknowledgement(this.#random))
      if (this.#inbound.owesAcknowledgements) this.#acknowledgeLater()
    })
  }

  /** The connection is over, from this side's view. */
  #lost(): void {
    const connection = must(this.#connection, 'a connection that ends had begun')
    const state = this.#state
    this.#connection = undefined
    this.#state = 'offline'
    this.#requests.clear()
    if (state === 'connecting') this.#serverSession = this.#serverSessionUnanswered
    else {
      this.#confirmedMs = connection.confirmedMs
      this.#serverSession = this.#sessionOutlives ? 'there' : 'none'
    }
    if (this.#serverSession !== 'there') this.#sessionEnded()
    if (this.#will !== undefined) this.#observer.willReleased(this.options.id, this.#will.message, this.#howItEnded(state))
  }

  #howItEnded(state: ClientState): ConnectionEnd {
    if (state !== 'leaving') return 'lost'
    return this.options.version === 4 && this.#outbound.inFlight > 0 ? 'unknown' : 'farewell'
  }

  /** The session is over, or may be: nothing can be expected of it any more. */
  #sessionEnded(): void {
    this.#subscribed.clear()
    this.#observer.sessionEnded(this.options.id)
  }

  #send(packet: Packet): void {
    this.#connection?.send(packet.cmd === 'publish' ? this.#aliases.outgoing(packet) : packet)
  }

  #newAliases(): ClientAliases {
    const { id, version, topicAliasMaximum } = this.options
    return new ClientAliases(id, this.#random.stream('aliases'), version === 5 ? topicAliasMaximum : 0)
  }

  #violated(rule: string): never {
    throw new SimFailure(`server to ${this.options.id}: ${rule}`)
  }
}
