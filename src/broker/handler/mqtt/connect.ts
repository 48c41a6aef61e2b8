// SPDX-License-Identifier: Apache-2.0
// CONNECT (MQTT 5 section 3.1): opens the session in meta, taking it over from whoever has it, and takes up what it left.
import type { OpenedSession } from '#contract/client/meta-client'
import type { ExpirySeconds, SessionKey } from '#contract/record/session'
import { type ConnectPacket, REASON } from '../../protocol/mqtt/index.ts'
import { type BrokerContext, TENANT } from './context.ts'
import type { Link } from './link.ts'
import { SessionCore } from './session-core.ts'

/** What CONNACK says of a connection that is accepted. */
export interface Accepted {
  readonly session: SessionCore
  readonly present: boolean
  /** As granted, which may be less than was asked for. */
  readonly expirySeconds: ExpirySeconds
}

/** Bytes of randomness in a client id that the server makes. */
const CLIENT_ID_RANDOM_BYTES = 12

/** Why a CONNECT is not accepted; REASON.success when nothing speaks against it. */
export function refuseConnect(context: BrokerContext, packet: ConnectPacket): number {
  const { config } = context
  if (packet.authenticationMethod !== undefined) return REASON.badAuthenticationMethod
  if (!config.allowAnonymous) return REASON.notAuthorized
  if (Buffer.byteLength(packet.clientId) > config.clientIdBytesMax) return REASON.clientIdentifierNotValid
  // A session that is to be found again needs a name [MQTT-3.1.3-8 of 3.1.1].
  if (packet.clientId === '' && packet.version < 5 && !packet.cleanStart) return REASON.clientIdentifierNotValid
  if (packet.will !== undefined) {
    if (packet.will.qos > config.maxQos) return REASON.qosNotSupported
    if (packet.will.retain && !config.retainAvailable) return REASON.retainNotSupported
  }
  return REASON.success
}

/** The client's own id, or one that nobody has. */
export const clientIdOf = (context: BrokerContext, packet: ConnectPacket): string =>
  packet.clientId === '' ? `auto-${context.random.bytes(CLIENT_ID_RANDOM_BYTES).toString('hex')}` : packet.clientId

/** Opens the session. Nobody else opens or closes the same one meanwhile on this node: the registry sees to that. */
export async function openSession(context: BrokerContext, link: Link, packet: ConnectPacket, clientId: string): Promise<Accepted> {
  const { config } = context
  const key: SessionKey = { tenant: TENANT, clientId }
  const expirySeconds = Math.min(packet.sessionExpirySeconds, config.sessionExpiryMaxSeconds)
  const opened = await context.meta.openSession({
    ...key,
    owner: context.identity(),
    cleanStart: packet.cleanStart,
    expirySeconds,
    will: packet.will,
    nowMs: context.clock.realtime(),
  })
  try {
    const session = await takeUp(context, link, opened, Math.min(packet.receiveMaximum, config.inflightMax))
    return { session, present: opened.present, expirySeconds }
  } catch (error) {
    // Meta believes that the client is connected: it is not going to be.
    await context.away.leave(opened.session, true)
    throw error
  }
}

async function takeUp(context: BrokerContext, link: Link, opened: OpenedSession, windowLimit: number): Promise<SessionCore> {
  const { previous, subscriptions } = opened
  const session = new SessionCore(context, link, opened.session, windowLimit)
  if (previous !== undefined) context.away.returned(previous.uid)
  if (opened.present) {
    await Promise.all(subscriptions.map(({ filter }) => context.store.register(filter)))
    for (const { sequence, log } of await context.store.unreleased(session.uid)) {
      if (sequence <= PACKET_ID_MAX) session.releases.restore(sequence, log)
    }
    // From here to the CONNACK nothing else runs: the session is live from exactly where its cursors are taken up.
    for (const subscription of subscriptions) session.subscriptions.set(subscription.filter, subscription)
    session.restore(opened.cursors)
    for (const subscription of subscriptions) context.table.add(session, subscription)
  } else if (previous !== undefined) {
    // The earlier session ends here, and with it any delay of its will [MQTT-3.1.2-8].
    if (previous.will !== undefined) await context.wills.publishTaken(previous, previous.will)
    await context.store.forget([previous.uid])
  }
  return session
}

const PACKET_ID_MAX = 0xffff
