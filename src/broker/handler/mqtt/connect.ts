// SPDX-License-Identifier: Apache-2.0
// CONNECT (MQTT 5 section 3.1): opens the session in meta, taking it over from whoever has it, and takes up what it left.
import type { OpenedSession } from '#contract/client/meta-client'
import type { ExpirySeconds, SessionKey, Subscription } from '#contract/record/session'
import { ConcernedLogs } from '../../message/concerned-logs.ts'
import { DELAYED_LOG } from '../../message/delayed.ts'
import { isShared } from '../../message/share-filter.ts'
import { type ConnectPacket, REASON } from '../../protocol/mqtt/index.ts'
import type { Access } from '../../security/access.ts'
import { prepareAutomatic } from './automatic-subscriptions.ts'
import { type BrokerContext, TENANT } from './context.ts'
import { willTopicOf } from './destination.ts'
import type { Link } from './link.ts'
import { SessionCore } from './session-core.ts'
import { activateSubscriptions, feedFor, releaseExclusive } from './subscribe.ts'

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
  if (Buffer.byteLength(packet.clientId) > config.clientIdBytesMax) return REASON.clientIdentifierNotValid
  // A session that is to be found again needs a name [MQTT-3.1.3-8 of 3.1.1]; in 3.1 every session does.
  if (packet.clientId === '' && (packet.version === 3 || (packet.version === 4 && !packet.cleanStart)))
    return REASON.clientIdentifierNotValid
  if (packet.will !== undefined) {
    if (packet.will.qos > config.maxQos) return REASON.qosNotSupported
    if (packet.will.retain && !config.retainAvailable) return REASON.retainNotSupported
  }
  return REASON.success
}

/** Why a client that is who it says to be is not accepted all the same; REASON.success when nothing speaks against it. */
export function refuseWill(context: BrokerContext, { will }: ConnectPacket, access: Access): number {
  if (will === undefined) return REASON.success
  const topic = willTopicOf(context, will.topic, access.principal)
  if (topic === undefined) return REASON.topicNameInvalid
  if (access.mayPublish(topic, will.qos, will.retain)) return REASON.success
  context.security.metrics.denied.will.add(1)
  return REASON.notAuthorized
}

/** The client's own id, or one that nobody has. */
export const clientIdOf = (context: BrokerContext, packet: ConnectPacket): string =>
  packet.clientId === '' ? `auto-${context.random.bytes(CLIENT_ID_RANDOM_BYTES).toString('hex')}` : packet.clientId

/** Opens the session. Nobody else opens or closes the same one meanwhile on this node: the registry sees to that. */
export async function openSession(context: BrokerContext, link: Link, packet: ConnectPacket, access: Access): Promise<Accepted> {
  const { config } = context
  const { clientId, userName, address } = access.principal
  const key: SessionKey = { tenant: TENANT, clientId }
  const expirySeconds = Math.min(packet.sessionExpirySeconds, config.sessionExpiryMaxSeconds)
  const nowMs = context.clock.realtime()
  await context.away.settleBefore(key, packet.cleanStart, nowMs)
  if (packet.cleanStart) await context.shares.ending(clientId)
  const opened = await context.meta.openSession({
    ...key,
    owner: context.identity(),
    cleanStart: packet.cleanStart,
    expirySeconds,
    // Whether the will may be published is asked again when it is fired (Q22).
    will: packet.will && {
      ...packet.will,
      topic: willTopicOf(context, packet.will.topic, access.principal) ?? packet.will.topic,
      author: { userName, source: access.account?.source ?? 'users', address },
    },
    nowMs,
  })
  try {
    const session = await takeUp(context, link, opened, access, Math.min(packet.receiveMaximum, config.inflightMax))
    return { session, present: opened.present, expirySeconds }
  } catch (error) {
    // Meta believes that the client is connected: it is not going to be.
    await context.away.leave(opened.session, true)
    throw error
  }
}

async function takeUp(
  context: BrokerContext,
  link: Link,
  opened: OpenedSession,
  access: Access,
  windowLimit: number,
): Promise<SessionCore> {
  const { previous } = opened
  const allowed = await keepAllowed(context, opened, access)
  const subscriptions = allowed.filter(({ filter }) => !isShared(filter))
  const session = new SessionCore(context, link, opened.session, access, windowLimit)
  const concerned = new ConcernedLogs(context.store)
  if (previous !== undefined) context.away.returned(previous)
  if (previous?.will !== undefined && endsWill(opened)) await context.wills.publishTaken(previous, previous.will)
  if (opened.present) {
    await Promise.all(subscriptions.map(({ filter }) => concerned.register(filter)))
    for (const { sequence, log } of await context.store.unreleased(session.uid)) {
      if (sequence <= PACKET_ID_MAX) session.releases.restore(sequence, log)
    }
    for (const packetId of context.delayed.unreleased(session.uid)) session.releases.restore(packetId, DELAYED_LOG)
    for (const { retainedAfter: _, ...subscription } of subscriptions) {
      if (subscription.replay === true) session.replays.restore(subscription, opened.cursors, concerned.of(subscription.filter))
      else session.subscriptions.set(subscription.filter, subscription)
    }
  } else if (previous !== undefined) {
    await context.delayed.forget([previous.uid])
    context.shares.ended([previous.uid])
    await context.store.forget([previous.uid])
  }
  const { seats, automatic } = await claimAll(session, allowed).catch((error: unknown) => {
    session.shared.close()
    throw error
  })
  // From here to the CONNACK nothing else runs: the session is live from exactly where its cursors are taken up.
  if (opened.present) {
    session.restore(opened.cursors, concerned)
    session.shared.takeUp(seats)
    for (const subscription of session.subscriptions.values()) context.table.add(session, subscription)
    for (const subscription of subscriptions) {
      if (subscription.retainedAfter === undefined) continue
      session.feeds.add(feedFor(session, subscription, concerned.of(subscription.filter)))
    }
  }
  if (automatic !== undefined) for (const feed of activateSubscriptions(session, automatic)) session.feeds.add(feed)
  return session
}

/**
 * Whether the will that the opening has found is due by it: with the end of the session any delay ends [MQTT-3.1.2-8], and a connection that is taken over,
 * from another broker or because it could not be closed, ends now.
 */
const endsWill = ({ present, previous }: OpenedSession): boolean =>
  !present || (previous?.owner !== undefined && previous.will?.delaySeconds === 0)

/** The last that has to be waited for: seats in the groups of an earlier connection, and the subscriptions that a client gets without asking. */
async function claimAll(session: SessionCore, allowed: readonly Subscription[]) {
  const seats = await session.shared.reclaim(allowed.filter(({ filter }) => isShared(filter)))
  return { seats, automatic: await prepareAutomatic(session) }
}

/** The subscriptions of an earlier connection that its client may still have; the others end (Q22). */
async function keepAllowed(context: BrokerContext, opened: OpenedSession, access: Access): Promise<readonly Subscription[]> {
  const { meta, security } = context
  const isAllowed = ({ filter, qos }: Subscription): boolean => access.maySubscribe(filter, qos)
  const lost = opened.subscriptions.filter((subscription) => !isAllowed(subscription))
  if (lost.length === 0) return opened.subscriptions
  security.metrics.denied.subscribe.add(lost.length)
  const filters = lost.map(({ filter }) => filter)
  await meta.unsubscribe(opened.session, opened.session.epoch, filters)
  await releaseExclusive(context, opened.session, lost)
  return opened.subscriptions.filter(isAllowed)
}

const PACKET_ID_MAX = 0xffff
