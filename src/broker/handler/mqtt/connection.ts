// SPDX-License-Identifier: Apache-2.0
// One client connection: what arrives is handed to the rule of its packet, and every way in which the connection can end is here.
import { hostOf } from '#base/address'
import type { ListenerAdmission } from '#base/config/listener'
import { isPlatformError, messageOf } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Channel, ChannelHandler } from '#base/port/network'
import { PUBLISHER_NONE } from '#contract/record/record-batch'
import type { DisconnectCause } from '../../metric/operation-metrics.ts'
import type { Pausable } from '../../network/backpressure.ts'
import type { Expiring } from '../../network/deadline-wheel.ts'
import type { ListenerTraffic } from '../../network/listener-traffic.ts'
import {
  type AckType,
  type AuthPacket,
  type ConnectPacket,
  type DisconnectPacket,
  type PacketHandler,
  PacketReader,
  type ProtocolProblem,
  type PublishView,
  REASON,
  type SubscribePacket,
  type UnsubscribePacket,
} from '../../protocol/mqtt/index.ts'
import { reviewSession } from './access-review.ts'
import { handleAcknowledgement } from './acknowledge.ts'
import { type Admission, Authentication, type Dialogue, type ServerProof } from './authenticate.ts'
import { closeReasonOf } from './close-reason.ts'
import { type Accepted, clientIdOf, openSession, refuseConnect, refuseWill } from './connect.ts'
import type { BrokerContext } from './context.ts'
import { causeOf } from './disconnect-cause.ts'
import { tellTooLarge } from './dropped-messages.ts'
import { IntakeLimits } from './intake-limits.ts'
import { Outgoing } from './outgoing.ts'
import { handlePublish } from './publish.ts'
import type { SessionCore } from './session-core.ts'
import { handleSubscribe, handleUnsubscribe } from './subscribe.ts'

/** For a client that does not read its goodbye. */
const GRACE_MS = 2_000
/** Messages of one client that may wait to be stored before its socket is read no further. */
const INBOUND_MAX = 8_192

/** What a connection has from the listener by which it came in. */
export interface Entrance {
  readonly admission: ListenerAdmission
  readonly traffic: ListenerTraffic
}

export class Connection implements ChannelHandler, PacketHandler, Expiring, Pausable, Dialogue {
  readonly #context: BrokerContext
  readonly #channel: Channel
  readonly #reader: PacketReader
  readonly #out: Outgoing
  readonly #intake: IntakeLimits
  readonly #admission: ListenerAdmission
  readonly #gone: (connection: Connection) => void
  #session: SessionCore | undefined
  /** While the client is being authenticated, and afterwards if it may do so again. */
  #authentication: Authentication | undefined
  #keepAliveMs = Number.POSITIVE_INFINITY
  #ended = false
  #closed = false
  /** Why it ends, until something else is known. */
  #cause: DisconnectCause = 'lost'
  /** The client has said goodbye and does not want its will published [MQTT-3.14.4-3]. */
  #withoutWill = false
  #opening: Promise<void> | undefined
  /** The client id for which it waits behind other connections of the client. */
  #waitsFor: string | undefined
  deadlineMs: number

  constructor(context: BrokerContext, channel: Channel, { admission, traffic }: Entrance, gone: (connection: Connection) => void) {
    this.#context = context
    this.#channel = channel
    this.#admission = admission
    this.#gone = gone
    this.#reader = new PacketReader(this, context.readerLimits)
    this.#out = new Outgoing(context, channel, this)
    this.#intake = new IntakeLimits(context, channel, traffic, this)
    this.deadlineMs = context.clock.monotonic() + context.config.connectTimeout
    context.deadlines.add(this)
  }

  // ---- the channel

  onData(chunk: Buffer): void {
    if (this.#ended) return
    this.#context.metrics.bytesReceived.add(chunk.length)
    const heard = this.#reader.packetCount
    this.#reader.push(chunk)
    // Bytes alone are no sign of life: it takes a packet [MQTT-3.1.2-22].
    if (this.#reader.packetCount > heard && this.#keepAliveMs !== Number.POSITIVE_INFINITY)
      this.deadlineMs = this.#context.clock.monotonic() + this.#keepAliveMs
    if (this.#session !== undefined && !this.#ended) this.#intake.review(chunk.length)
    else if (this.#waitsFor !== undefined) this.#channel.pause()
  }

  onDrain(): void {
    this.#out.drained()
    this.#session?.resume()
  }

  onClose(_error: Error | undefined): void {
    this.#closed = true
    this.#end()
    this.#gone(this)
  }

  /** Neither messages that wait to be stored nor answers that the client does not read pile up. */
  get relieved(): boolean {
    return !this.#out.overfull && (this.#session === undefined || this.#session.inbound.size < INBOUND_MAX)
  }

  get publisher(): number {
    return this.#session?.uid ?? PUBLISHER_NONE
  }

  resumeReading(): void {
    if (this.#ended) return
    // Nothing could be heard of the client meanwhile.
    this.deadlineMs = this.#context.clock.monotonic() + this.#keepAliveMs
    this.#intake.release()
  }

  onDeadline(): void {
    if (this.#session === undefined) this.#refuse('did not connect in time')
    else if (this.#intake.held) {
      this.deadlineMs = this.#context.clock.monotonic() + this.#keepAliveMs
      this.#context.deadlines.add(this)
    } else this.disconnect(REASON.keepAliveTimeout)
  }

  // ---- the packets

  onConnect(packet: ConnectPacket): void {
    const { flapping, metrics } = this.#context
    const isAdmitted = flapping.admit(packet.clientId, hostOf(this.#channel.remote))
    if (!isAdmitted) metrics.limits.flapping.add(1)
    const refusal = isAdmitted ? refuseConnect(this.#context, packet) : REASON.banned
    this.#out.setDialect(packet.version, packet.maximumPacketSize, packet.requestProblemInformation)
    this.#out.setAliasMaximum(packet.topicAliasMaximum)
    if (refusal !== REASON.success) {
      this.#refuseConnect(refusal)
      return
    }
    // Nothing more is read until the session is there: what was sent along with CONNECT waits.
    this.#reader.pause()
    this.#channel.pause()
    this.#opening = this.#open(packet)
  }

  onPublish(publish: PublishView): void {
    const session = this.#session
    if (session === undefined) {
      this.#tooEarly()
      return
    }
    this.#intake.published()
    const reasonCode = handlePublish(session, publish)
    if (reasonCode === REASON.success) return
    if (reasonCode === REASON.protocolError) this.#context.metrics.malformedPackets.add(1)
    this.disconnect(reasonCode)
  }

  onAck(type: AckType, packetId: number, reasonCode: number): void {
    if (this.#session === undefined) this.#tooEarly()
    else handleAcknowledgement(this.#session, type, packetId, reasonCode)
  }

  onSubscribe(packet: SubscribePacket): void {
    const session = this.#session
    if (session === undefined) {
      this.#tooEarly()
      return
    }
    const retained = this.#context.publisher.retainedWrites.settled()
    const change = () => handleSubscribe(session, packet, this.#answerSubscribe, retained)
    if (!session.enqueue(change)) this.disconnect(REASON.quotaExceeded)
  }

  onUnsubscribe(packet: UnsubscribePacket): void {
    const session = this.#session
    if (session === undefined) this.#tooEarly()
    else if (!session.enqueue(() => handleUnsubscribe(session, packet, this.#answerUnsubscribe))) this.disconnect(REASON.quotaExceeded)
  }

  readonly #answerSubscribe = (packetId: number, reasonCodes: readonly number[], reasonString?: string): void =>
    this.#out.sendSuback(packetId, reasonCodes, reasonString)

  readonly #answerUnsubscribe = (packetId: number, reasonCodes: readonly number[]): void => this.#out.sendUnsuback(packetId, reasonCodes)

  onPingreq(): void {
    if (this.#session === undefined) this.#tooEarly()
    else this.#out.sendPingresp()
  }

  onDisconnect(packet: DisconnectPacket): void {
    const session = this.#session
    const { sessionExpirySeconds } = packet
    if (session !== undefined && sessionExpirySeconds !== undefined) {
      // A session that was to end with the connection cannot be kept after all [MQTT-3.14.2-2].
      if (!session.persistent && sessionExpirySeconds > 0) {
        this.disconnect(REASON.protocolError)
        return
      }
      session.setExpiry(sessionExpirySeconds)
    }
    this.#withoutWill = packet.reasonCode === REASON.normalDisconnection
    this.#cause = 'client'
    this.#end()
    this.#channel.end(GRACE_MS)
  }

  onAuth(packet: AuthPacket): void {
    const reasonCode = this.#authentication?.receive(packet) ?? REASON.protocolError
    if (reasonCode === REASON.success) return
    if (this.#session === undefined) this.#refuseConnect(reasonCode)
    else this.disconnect(reasonCode)
  }

  /** While it is being authenticated, a client sends nothing but AUTH and DISCONNECT [MQTT-3.1.2-30]. */
  #tooEarly(): void {
    this.#refuseConnect(REASON.protocolError)
  }

  // ---- authentication

  sendAuth(reasonCode: number, method: string, data: Buffer | undefined): void {
    this.#out.sendAuth(reasonCode, method, data)
  }

  listen(): void {
    if (this.#ended) return
    this.#channel.resume()
    this.#reader.resume()
  }

  hush(): void {
    this.#reader.pause()
    this.#channel.pause()
  }

  /** Users or rules have changed. */
  review(): void {
    if (!this.#ended && this.#session !== undefined) reviewSession(this.#session)
  }

  onMalformed(problem: ProtocolProblem): void {
    const { metrics, logger } = this.#context
    metrics.malformedPackets.add(1)
    logger.log('info', `closing a connection: ${problem.sentence}`, { remote: this.#channel.remote, client: this.#session?.clientId })
    if (this.#session !== undefined) this.disconnect(problem.reasonCode)
    else if (this.#reader.version === 0) this.#refuse(problem.sentence)
    else {
      this.#out.setDialect(this.#reader.version, Number.POSITIVE_INFINITY)
      this.#refuseConnect(problem.reasonCode)
    }
  }

  // ---- the ways to end

  /** Tells the client why, in dialects that can, and closes. */
  disconnect(reasonCode: number): void {
    if (this.#ended) return
    this.#cause = causeOf(reasonCode)
    if (this.#session !== undefined) this.#out.sendDisconnect(reasonCode)
    this.#end()
    this.#channel.end(GRACE_MS, closeReasonOf(reasonCode))
  }

  takenOver(): void {
    const { metrics, events } = this.#context
    metrics.takeovers.add(1)
    events.tell('sessionTakenOver', this.#session?.clientId ?? '', { remote: this.#channel.remote })
    this.disconnect(REASON.sessionTakenOver)
  }

  tooLarge(): void {
    if (this.#session !== undefined) tellTooLarge(this.#session)
  }

  /** The client does not read: it could not be told. What is stored for it stays stored. */
  stalled(): void {
    if (this.#ended) return
    this.#context.logger.log('info', 'closing a connection: the client takes nothing of what waits for it', {
      client: this.#session?.clientId,
    })
    this.#cause = 'stalled'
    this.#end()
    this.#channel.destroy('policy')
  }

  fail(error: unknown): void {
    if (this.#ended) return
    this.#context.logger.log('warn', `closing a connection: ${messageOf(error)}`, { client: this.#session?.clientId })
    this.disconnect(isPlatformError(error, ERROR_CODES.stopping) ? REASON.serverShuttingDown : REASON.unspecifiedError)
  }

  /** The node stops: resolves when the session is saved. */
  async shutDown(): Promise<void> {
    this.disconnect(REASON.serverShuttingDown)
    await this.#opening
    await this.#session?.close(true)
  }

  async #open(packet: ConnectPacket): Promise<void> {
    const context = this.#context
    const clientId = clientIdOf(context, packet)
    try {
      const admission = await this.#admit(packet, clientId)
      if (admission === undefined) return
      // Read while it waits, or nobody would see it leave; what it sends is kept, and ends the reading.
      this.#waitsFor = clientId
      this.#channel.resume()
      const entered = await context.sessions.enter(clientId, this, async () => {
        this.#waitsFor = undefined
        this.#channel.pause()
        if (this.#ended) return undefined
        const accepted = await openSession(context, this.#out, packet, admission.access)
        this.#accept(accepted, packet, clientId, admission.proof)
        return accepted.session
      })
      if (entered === 'busy') this.#refuseConnect(REASON.serverBusy)
    } catch (error) {
      context.logger.log('warn', `a session could not be opened: ${messageOf(error)}`, { client: clientId })
      this.#refuseConnect(REASON.serverUnavailable)
    }
    // The client left while its session was being opened.
    if (this.#ended) await this.#session?.close(!this.#withoutWill)
  }

  /** Who the client is; undefined when it is not let in, or has left. */
  async #admit(packet: ConnectPacket, clientId: string): Promise<Extract<Admission, { kind: 'admitted' }> | undefined> {
    const authentication = new Authentication(this.#context.security, this, this.#channel, this.#admission)
    this.#authentication = authentication
    const admission = await authentication.admit(packet, clientId)
    const reasonCode = admission.kind === 'refused' ? admission.reasonCode : refuseWill(this.#context, packet, admission.access)
    if (reasonCode !== REASON.success) this.#refuseConnect(reasonCode)
    if (admission.kind === 'refused' || this.#ended) return undefined
    if (admission.proof === undefined) this.#authentication = undefined
    return admission
  }

  #accept({ session, present, expirySeconds }: Accepted, packet: ConnectPacket, clientId: string, proof: ServerProof | undefined): void {
    const { config, clock, metrics, deadlines } = this.#context
    this.#session = session
    if (this.#ended) return
    const keepAliveSecondsMax = Math.floor(config.keepAliveMax / 1000)
    const asked = packet.keepAliveSeconds
    const granted =
      packet.version === 5 && (asked === 0 || asked > keepAliveSecondsMax) && keepAliveSecondsMax < KEEP_ALIVE_LIMIT
        ? keepAliveSecondsMax
        : asked
    // One and a half times the keep alive [MQTT-3.1.2-22].
    this.#keepAliveMs = granted === 0 ? Number.POSITIVE_INFINITY : granted * 1500
    deadlines.remove(this)
    this.deadlineMs = clock.monotonic() + this.#keepAliveMs
    if (granted !== 0) deadlines.add(this)
    metrics.connectionsAccepted.add(1)
    this.#tellConnected(session, packet, present)
    const said = this.#out.sendConnack(present, {
      assignedClientId: packet.clientId === '' ? clientId : undefined,
      sessionExpirySeconds: expirySeconds === packet.sessionExpirySeconds ? undefined : expirySeconds,
      serverKeepAliveSeconds: granted === asked ? undefined : granted,
      proof,
    })
    // A client that takes no packet as large as CONNACK would wait for it for ever. Nothing may be said before it [MQTT-3.14.0-1].
    if (!said) {
      this.#endQuietly()
      return
    }
    // Users and rules may have changed since the client was let in.
    reviewSession(session)
    if (this.#ended) return
    this.#channel.resume()
    this.#reader.resume()
    session.resume()
  }

  #endQuietly(): void {
    this.#end()
    this.#channel.end(GRACE_MS)
  }

  #refuseConnect(reasonCode: number): void {
    if (this.#ended) return
    this.#context.metrics.connectionsRefused.add(1)
    this.#out.sendRefusal(reasonCode)
    this.#end()
    this.#channel.end(GRACE_MS, closeReasonOf(reasonCode))
  }

  /** Closes a connection of which no dialect is known: there is nothing to say. */
  #refuse(why: string): void {
    if (this.#ended) return
    this.#context.metrics.connectionsRefused.add(1)
    this.#context.logger.log('debug', `closing a connection: ${why}`, { remote: this.#channel.remote })
    this.#end()
    this.#channel.destroy('protocolError')
  }

  #tellConnected(session: SessionCore, { version, cleanStart, keepAliveSeconds }: ConnectPacket, present: boolean): void {
    const { events, systemValues } = this.#context
    systemValues.noteConnected()
    const { userName } = session.access.principal
    const fields = { remote: this.#channel.remote, userName, version, cleanStart, sessionPresent: present, keepAliveSeconds }
    events.tell('clientConnected', session.clientId, fields)
  }

  #tellDisconnected(): void {
    const { metrics, events } = this.#context
    if (this.#session === undefined) return
    metrics.disconnects[this.#cause].add(1)
    events.tell('clientDisconnected', this.#session.clientId, { reason: this.#cause, remote: this.#channel.remote })
  }

  /** Nothing is read or acknowledged from here on; the session is closed in meta. */
  #end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#intake.end()
    this.#tellDisconnected()
    this.#authentication?.end()
    this.#reader.stop()
    this.#context.deadlines.remove(this)
    if (this.#waitsFor !== undefined) this.#context.sessions.leave(this.#waitsFor, this)
    if (this.#closed) this.#out.discard()
    else this.#out.finish()
    void this.#session?.close(!this.#withoutWill)
  }
}

/** The longest keep alive that can be asked for: a maximum of as much bounds nothing, and 0 stays off. */
const KEEP_ALIVE_LIMIT = 65_535
