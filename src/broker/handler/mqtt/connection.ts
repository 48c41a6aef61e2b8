// SPDX-License-Identifier: Apache-2.0
// One client connection: what arrives is handed to the rule of its packet, and every way in which the connection can end is here.
import { isPlatformError, messageOf } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Channel, ChannelHandler } from '#base/port/network'
import type { Pausable } from '../../network/backpressure.ts'
import type { Expiring } from '../../network/deadline-wheel.ts'
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
import { handleAcknowledgement } from './acknowledge.ts'
import { type Accepted, clientIdOf, openSession, refuseConnect } from './connect.ts'
import type { BrokerContext } from './context.ts'
import { Outgoing } from './outgoing.ts'
import { handlePublish } from './publish.ts'
import type { SessionCore } from './session-core.ts'
import { handleSubscribe, handleUnsubscribe } from './subscribe.ts'

/** For a client that does not read its goodbye. */
const GRACE_MS = 2_000
/** Messages of one client that may wait to be stored before its socket is read no further. */
const INBOUND_MAX = 8_192

export class Connection implements ChannelHandler, PacketHandler, Expiring, Pausable {
  readonly #context: BrokerContext
  readonly #channel: Channel
  readonly #reader: PacketReader
  readonly #out: Outgoing
  readonly #gone: (connection: Connection) => void
  #session: SessionCore | undefined
  #keepAliveMs = Number.POSITIVE_INFINITY
  #ended = false
  #closed = false
  /** The client has said goodbye and does not want its will published [MQTT-3.14.4-3]. */
  #withoutWill = false
  #opening: Promise<void> | undefined
  deadlineMs: number

  constructor(context: BrokerContext, channel: Channel, gone: (connection: Connection) => void) {
    this.#context = context
    this.#channel = channel
    this.#gone = gone
    this.#reader = new PacketReader(this, context.readerLimits)
    this.#out = new Outgoing(context, channel, this)
    this.deadlineMs = context.clock.monotonic() + context.config.connectTimeout
    context.deadlines.add(this)
  }

  // ---- the channel

  onData(chunk: Buffer): void {
    if (this.#ended) return
    if (this.#keepAliveMs !== Number.POSITIVE_INFINITY) this.deadlineMs = this.#context.clock.monotonic() + this.#keepAliveMs
    this.#reader.push(chunk)
    if (!this.#ended && (this.#context.backpressure.overloaded || !this.relieved)) {
      this.#channel.pause()
      this.#context.backpressure.wait(this)
    }
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

  get relieved(): boolean {
    return this.#session === undefined || this.#session.inbound.size < INBOUND_MAX
  }

  resumeReading(): void {
    if (!this.#ended) this.#channel.resume()
  }

  onDeadline(): void {
    if (this.#session === undefined) this.#refuse('did not connect in time')
    else this.disconnect(REASON.keepAliveTimeout)
  }

  // ---- the packets

  onConnect(packet: ConnectPacket): void {
    const refusal = refuseConnect(this.#context, packet)
    this.#out.setDialect(packet.version, packet.maximumPacketSize)
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
    if (session === undefined) return
    const reasonCode = handlePublish(session, publish)
    if (reasonCode !== REASON.success) this.disconnect(reasonCode)
  }

  onAck(type: AckType, packetId: number, reasonCode: number): void {
    if (this.#session !== undefined) handleAcknowledgement(this.#session, type, packetId, reasonCode)
  }

  onSubscribe(packet: SubscribePacket): void {
    const session = this.#session
    const queued = session?.enqueue(() => handleSubscribe(session, packet, this.#answerSubscribe)) ?? true
    if (!queued) this.disconnect(REASON.quotaExceeded)
  }

  onUnsubscribe(packet: UnsubscribePacket): void {
    const session = this.#session
    const queued = session?.enqueue(() => handleUnsubscribe(session, packet, this.#answerUnsubscribe)) ?? true
    if (!queued) this.disconnect(REASON.quotaExceeded)
  }

  readonly #answerSubscribe = (packetId: number, reasonCodes: readonly number[]): void => this.#out.sendSuback(packetId, reasonCodes)

  readonly #answerUnsubscribe = (packetId: number, reasonCodes: readonly number[]): void => this.#out.sendUnsuback(packetId, reasonCodes)

  onPingreq(): void {
    this.#out.sendPingresp()
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
    this.#end()
    this.#channel.end(GRACE_MS)
  }

  /** No authentication method was agreed on: there is nothing to continue. */
  onAuth(_packet: AuthPacket): void {
    this.disconnect(REASON.protocolError)
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
    if (this.#session !== undefined) this.#out.sendDisconnect(reasonCode)
    this.#end()
    this.#channel.end(GRACE_MS)
  }

  takenOver(): void {
    this.#context.metrics.takeovers.add(1)
    this.disconnect(REASON.sessionTakenOver)
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
      const entered = await context.sessions.enter(clientId, async () => {
        if (this.#ended) return undefined
        const accepted = await openSession(context, this.#out, packet, clientId)
        this.#accept(accepted, packet, clientId)
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

  #accept({ session, present, expirySeconds }: Accepted, packet: ConnectPacket, clientId: string): void {
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
    this.#out.sendConnack(present, {
      assignedClientId: packet.clientId === '' ? clientId : undefined,
      sessionExpirySeconds: expirySeconds === packet.sessionExpirySeconds ? undefined : expirySeconds,
      serverKeepAliveSeconds: granted === asked ? undefined : granted,
    })
    this.#channel.resume()
    this.#reader.resume()
    session.resume()
  }

  #refuseConnect(reasonCode: number): void {
    if (this.#ended) return
    this.#context.metrics.connectionsRefused.add(1)
    this.#out.sendRefusal(reasonCode)
    this.#end()
    this.#channel.end(GRACE_MS)
  }

  /** Closes a connection of which no dialect is known: there is nothing to say. */
  #refuse(why: string): void {
    if (this.#ended) return
    this.#context.metrics.connectionsRefused.add(1)
    this.#context.logger.log('debug', `closing a connection: ${why}`, { remote: this.#channel.remote })
    this.#end()
    this.#channel.destroy()
  }

  /** Nothing is read or acknowledged from here on; the session is closed in meta. */
  #end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#reader.stop()
    this.#context.deadlines.remove(this)
    if (this.#closed) this.#out.discard()
    else this.#out.finish()
    void this.#session?.close(!this.#withoutWill)
  }
}

/** The longest keep alive that can be asked for: a maximum of as much bounds nothing, and 0 stays off. */
const KEEP_ALIVE_LIMIT = 65_535
