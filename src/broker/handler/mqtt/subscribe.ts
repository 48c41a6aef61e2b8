// SPDX-License-Identifier: Apache-2.0
// SUBSCRIBE and UNSUBSCRIBE (MQTT 5 sections 3.8, 3.10). SUBACK leaves when every publish that begins from then on is delivered, and the
// subscriptions of a session that outlives its connection are committed (Q16).
import type { LogId } from '#contract/client/engine-client'
import type { Session, Subscription } from '#contract/record/session'
import { beginIn, ConcernedLogs } from '../../message/concerned-logs.ts'
import { type ReplayStart, replayStarts } from '../../message/replay.ts'
import { RetainedFeed } from '../../message/retained-feed.ts'
import { isShared, parseShared } from '../../message/share-filter.ts'
import { isSystemFilter } from '../../message/sys-topics.ts'
import { REASON, type SubscribePacket, type SubscriptionRequest, type UnsubscribePacket } from '../../protocol/mqtt/index.ts'
import { reviewSession } from './access-review.ts'
import type { BrokerContext } from './context.ts'
import { readReplay } from './replay-request.ts'
import type { SessionCore } from './session-core.ts'
import type { SharedGrant } from './shared-subscriptions.ts'
import { storedForm } from './stored-subscription.ts'
import { tellSubscribed, tellUnsubscribed } from './subscription-events.ts'
import { isNodeFull, requestsOf } from './subscription-limits.ts'
import { type NamedRequest, nameFilter } from './subscription-name.ts'

/** Answers with one reason code for each filter, in their order; `reasonString` says why, for people. */
type Answer = (packetId: number, reasonCodes: readonly number[], reasonString?: string) => void

interface Granted {
  readonly request: SubscriptionRequest
  readonly subscription: Subscription
  /** Of a shared subscription. Its group decides what is delivered: nothing is registered for the session itself. */
  readonly shared?: SharedGrant
  /** Of a subscription that replays: it stays where it is. */
  readonly goesOn?: boolean
}

/** What a client has asked for, before it is live. */
export interface Prepared {
  readonly granted: readonly Granted[]
  readonly concerned: ConcernedLogs
  /** One for each request, in their order. */
  readonly reasonCodes: readonly number[]
  /** Of the access rules that were asked. */
  readonly rulesVersion: number
}

/** `retained` resolves when the retained messages that came before the packet are stored; undefined when all are. */
export async function handleSubscribe(
  session: SessionCore,
  packet: SubscribePacket,
  answer: Answer,
  retained?: Promise<void>,
): Promise<void> {
  const requests = requestsOf(session, packet)
  const asked = readReplay(packet)
  if (asked.kind === 'malformed') {
    const refused = packet.filters.map(() => REASON.implementationSpecificError)
    answer(packet.packetId, refused, asked.reason)
    return
  }
  if (retained !== undefined) await retained
  const prepared = await prepareSubscriptions(session, requests, packet.identifier, asked.start)
  if (session.closed) {
    for (const { subscription, shared } of prepared.granted) if (shared === undefined) session.context.store.deregister(subscription.filter)
    return
  }
  const feeds = activateSubscriptions(session, prepared)
  // What went by at QoS 0 while they were raised must not be owed when the client comes back.
  const begunLater = prepared.granted.flatMap(({ subscription }) => begunLaterThan(session, subscription) ?? [])
  if (begunLater.length > 0) await commit(session, begunLater)
  // The places of an earlier replay of the same filter must not be found again.
  const replays = prepared.granted.some(({ subscription }) => subscription.replay === true)
  if (session.persistent && replays) await session.context.saver.saveNow(session)
  if (session.closed) return
  answer(packet.packetId, prepared.reasonCodes)
  tellSubscribed(session, prepared.granted)
  session.replays.resume()
  for (const feed of feeds) {
    session.feeds.add(feed)
    feed.resume()
  }
}

/** Registers and commits what may be subscribed to. Nothing is delivered yet: what happens until then is not seen by the subscriptions. */
export async function prepareSubscriptions(
  session: SessionCore,
  requests: readonly NamedRequest[],
  identifier: number,
  replay?: ReplayStart,
): Promise<Prepared> {
  const { context } = session
  const rulesVersion = context.security.version
  const concerned = new ConcernedLogs(context.store)
  const reasonCodes: number[] = []
  const granted: Granted[] = []
  let count = session.subscriptions.size + session.shared.size + session.replays.size
  for (const named of requests) {
    const { filter } = named.request
    const known =
      session.subscriptions.has(filter) ||
      session.shared.has(filter) ||
      session.replays.has(filter) ||
      granted.some(({ subscription }) => subscription.filter === filter)
    const unable = replay !== undefined && isShared(filter) ? REASON.implementationSpecificError : REASON.success
    const refusal =
      unable ||
      refuse(session, named, known ? 0 : count) ||
      (!known && isNodeFull(context) ? REASON.quotaExceeded : REASON.success) ||
      (named.exclusive ? await claimExclusive(session, filter) : REASON.success)
    const grant = refusal === REASON.success ? await register(session, concerned, named, identifier, replay) : undefined
    if (grant !== undefined) {
      if (!known) count++
      granted.push(grant)
    }
    reasonCodes.push(grant?.subscription.qos ?? (refusal || REASON.quotaExceeded))
  }
  const subscriptions = granted.map(({ subscription }) => subscription)
  if (subscriptions.length > 0) await commit(session, subscriptions)
  return { granted, concerned, reasonCodes, rulesVersion }
}

/** Into meta, if the session is to be there when the client comes back. */
async function commit({ context, record, epoch, persistent, link }: SessionCore, subscriptions: readonly Subscription[]): Promise<void> {
  if (!persistent) return
  const { tenant, clientId } = record
  const stored = subscriptions.map((subscription) => storedForm(context.durableLogs, subscription))
  const written = await context.meta.subscribe({ tenant, clientId }, epoch, stored)
  if (written.kind === 'fenced') link.takenOver()
}

/** The live form of a subscription that has begun in some log after what was committed; undefined when it has not, or has gone. */
function begunLaterThan({ subscriptions }: SessionCore, { filter, since }: Subscription): Subscription | undefined {
  const live = subscriptions.get(filter)
  return live?.since.some(({ log, position }) => position > beginIn(since, log)) === true ? live : undefined
}

/** Makes the subscriptions live. Returns the feeds of retained messages that they are owed, which begin when the client has been told. */
export function activateSubscriptions(session: SessionCore, { granted, concerned, rulesVersion }: Prepared): readonly RetainedFeed[] {
  const feeds = granted.flatMap((grant) => activate(session, grant, concerned) ?? [])
  // Rules that changed meanwhile have not seen these subscriptions.
  if (session.context.security.version !== rulesVersion) reviewSession(session)
  return feeds
}

function refuse({ context, access }: SessionCore, { request, refusal }: NamedRequest, count: number): number {
  if (refusal !== REASON.success) return refusal
  if (isShared(request.filter)) {
    if (parseShared(request.filter) === undefined) return REASON.topicFilterInvalid
    if (!context.config.sharedAvailable) return REASON.sharedSubscriptionsNotSupported
  }
  if (!access.maySubscribe(request.filter, Math.min(request.qos, context.config.maxQos))) {
    context.security.metrics.denied.subscribe.add(1)
    return REASON.notAuthorized
  }
  if (count >= context.config.subscriptionsMax) return REASON.quotaExceeded
  return REASON.success
}

/** REASON.success when no other session has the filter exclusively. */
async function claimExclusive(session: SessionCore, filter: string): Promise<number> {
  const claim = await session.context.meta.exclusive.claim(filter, session.record)
  if (claim === 'fenced') session.link.takenOver()
  return claim === 'granted' ? REASON.success : REASON.quotaExceeded
}

/** Undefined when there are too many shared groups. */
async function register(
  session: SessionCore,
  concerned: ConcernedLogs,
  { request, exclusive }: NamedRequest,
  identifier: number,
  replay: ReplayStart | undefined,
): Promise<Granted | undefined> {
  const { filter, noLocal, retainAsPublished } = request
  const { context } = session
  const shared = parseShared(filter)
  if (shared !== undefined) {
    const grant = await session.shared.claim(shared)
    const qos = Math.min(request.qos, context.config.maxQos)
    return grant && { request, subscription: { filter, qos, noLocal, retainAsPublished, identifier, since: [] }, shared: grant }
  }
  const began = await concerned.register(filter)
  const replaying = session.replays.get(filter)
  if (replay !== undefined || replaying !== undefined) {
    const qos = Math.min(request.qos, context.config.maxQos)
    // Asked for again without a place to begin at, it goes on: clients subscribe anew when they connect.
    const begins = replay === undefined ? undefined : await replayStarts(context.store, context.durableLogs, replay, began)
    const since = begins ?? replaying?.since ?? began
    const subscription = { filter, qos, noLocal, retainAsPublished, identifier, since, replay: true }
    const isExclusive = exclusive || replaying?.exclusive === true
    return { request, subscription: isExclusive ? { ...subscription, exclusive: true } : subscription, goesOn: begins === undefined }
  }
  // A subscription that is replaced goes on: what it was owed it is still owed [MQTT-3.8.4-3]. At QoS 0 it was owed nothing that is not sent.
  const replaced = session.subscriptions.get(filter)
  const since = replaced !== undefined && replaced.qos > 0 ? replaced.since : began
  const qos = Math.min(request.qos, context.config.maxQos)
  const subscription = { filter, qos, noLocal, retainAsPublished, identifier, since }
  // Asked for again without the prefix, it stays the session's own until it is unsubscribed from.
  return { request, subscription: exclusive || replaced?.exclusive === true ? { ...subscription, exclusive: true } : subscription }
}

/** Makes the subscription live; returns the feed of retained messages that it is owed. Shared subscriptions get none [MQTT-3.3.1-9]. */
function activate(session: SessionCore, granted: Granted, concerned: ConcernedLogs): RetainedFeed | undefined {
  const { request, subscription, shared, goesOn } = granted
  const { context } = session
  if (shared !== undefined) {
    session.shared.activate(shared, subscription)
    return undefined
  }
  const { filter } = subscription
  if (subscription.replay === true) {
    if (goesOn === true) session.replays.update(subscription)
    else {
      remove(session, filter)
      session.replays.start(subscription, concerned.of(filter))
    }
    return undefined
  }
  const replaced = session.subscriptions.get(filter)
  const isNew = replaced === undefined
  // Interests are counted: one is enough for a filter of a session.
  if (!isNew) context.store.deregister(filter)
  session.feeds.stop(filter)
  const logs = concerned.of(filter)
  const live = replaced?.qos === 0 ? { ...subscription, since: endsOf(context, logs) } : subscription
  session.subscriptions.set(filter, live)
  context.table.add(session, live)
  for (const log of logs) if (context.durableLogs.has(log) && context.store.describe(log)?.model === 'shared') session.consumer.follow(log)
  if (!context.config.retainAvailable || request.retainHandling === 2 || (request.retainHandling === 1 && !isNew)) return undefined
  return feedFor(session, live, logs)
}

/** A subscription at QoS 0 goes on being served while it is replaced. What has passed until now is not owed again at a higher QoS. */
const endsOf = ({ store }: BrokerContext, logs: readonly LogId[]): Subscription['since'] =>
  logs.map((log) => ({ log, position: store.extent(log).end }))

export async function handleUnsubscribe(session: SessionCore, packet: UnsubscribePacket, answer: Answer): Promise<void> {
  const { context } = session
  const filters = packet.filters.map((name) => nameFilter(session, name)?.filter)
  const ending = filters.flatMap((filter) =>
    filter === undefined
      ? []
      : (session.subscriptions.get(filter) ?? session.shared.subscription(filter) ?? session.replays.get(filter) ?? []),
  )
  for (const { filter } of ending) await session.shared.leaving(filter)
  if (session.persistent && ending.length > 0) {
    const { tenant, clientId } = session.record
    const names = ending.map(({ filter }) => filter)
    const written = await context.meta.unsubscribe({ tenant, clientId }, session.epoch, names)
    if (written.kind === 'fenced') session.link.takenOver()
  }
  await releaseExclusive(context, session.record, ending)
  if (session.closed) return
  const reasonCodes = filters.map((filter) => {
    if (filter !== undefined && session.shared.remove(filter)) return REASON.success
    if (filter === undefined) return REASON.noSubscriptionExisted
    return session.replays.stop(filter) || remove(session, filter) ? REASON.success : REASON.noSubscriptionExisted
  })
  answer(packet.packetId, reasonCodes)
  tellUnsubscribed(session, filters, reasonCodes)
}

/** False when there is no such subscription. */
function remove(session: SessionCore, filter: string): boolean {
  const { context } = session
  if (!session.subscriptions.delete(filter)) return false
  context.table.remove(session, filter)
  context.store.deregister(filter)
  session.feeds.stop(filter)
  return true
}

/** Subscriptions that have ended leave their filters to others. */
export async function releaseExclusive({ meta }: BrokerContext, owner: Session, ended: readonly Subscription[]): Promise<void> {
  const filters = ended.filter(({ exclusive }) => exclusive === true).map(({ filter }) => filter)
  if (filters.length > 0) await meta.exclusive.release(filters, owner)
}

/** Call it in the turn in which the subscription becomes live. `logs`: all that it concerns. */
export function feedFor(session: SessionCore, subscription: Subscription, logs: readonly LogId[]): RetainedFeed {
  const { store, durableLogs, meta, clock, systemTopics, feedTurns } = session.context
  const live = logs.filter((log) => durableLogs.has(log)).map((log) => ({ log, position: store.extent(log).end }))
  // What the server says of itself is no retained message, but comes like one.
  const source = isSystemFilter(subscription.filter) ? systemTopics : meta
  return new RetainedFeed({ store, meta: source, clock, turns: feedTurns, durableLogs }, session, subscription, live)
}
