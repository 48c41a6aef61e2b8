// SPDX-License-Identifier: Apache-2.0
// SUBSCRIBE and UNSUBSCRIBE (MQTT 5 sections 3.8, 3.10). SUBACK leaves when every publish that begins from then on is delivered, and the
// subscriptions of a session that outlives its connection are committed (Q16).
import type { LogPosition } from '#contract/client/engine-client'
import type { Subscription } from '#contract/record/session'
import { RetainedFeed } from '../../message/retained-feed.ts'
import { REASON, type SubscribePacket, type SubscriptionRequest, type UnsubscribePacket } from '../../protocol/mqtt/index.ts'
import type { BrokerContext } from './context.ts'
import type { SessionCore } from './session-core.ts'

/** Answers with one reason code for each filter, in their order. */
type Answer = (packetId: number, reasonCodes: readonly number[]) => void

interface Granted {
  readonly request: SubscriptionRequest
  readonly subscription: Subscription
  readonly began: readonly LogPosition[]
}

export async function handleSubscribe(session: SessionCore, packet: SubscribePacket, answer: Answer): Promise<void> {
  const { context } = session
  const refusals = new Map<number, number>()
  const granted: Granted[] = []
  let count = session.subscriptions.size
  for (const [at, request] of packet.filters.entries()) {
    const known = session.subscriptions.has(request.filter) || granted.some(({ request: { filter } }) => filter === request.filter)
    const refusal = refuse(request, known ? 0 : count, context.config.subscriptionsMax)
    if (refusal !== REASON.success) refusals.set(at, refusal)
    else {
      if (!known) count++
      granted.push(await register(session, request, packet.identifier))
    }
  }
  if (session.persistent && granted.length > 0) {
    const { tenant, clientId } = session.record
    const written = await context.meta.subscribe(
      { tenant, clientId },
      session.epoch,
      granted.map(({ subscription }) => storedForm(context, subscription)),
    )
    if (written.kind === 'fenced') session.link.takenOver()
  }
  if (session.closed) {
    for (const { subscription } of granted) context.store.deregister(subscription.filter)
    return
  }
  const feeds = granted.flatMap((grant) => activate(session, grant) ?? [])
  let next = 0
  answer(
    packet.packetId,
    packet.filters.map((_, at) => refusals.get(at) ?? (granted[next++] as Granted).subscription.qos),
  )
  for (const feed of feeds) session.startFeed(feed)
}

function refuse(request: SubscriptionRequest, count: number, countMax: number): number {
  if (request.filter.startsWith('$share/')) return REASON.sharedSubscriptionsNotSupported
  if (count >= countMax) return REASON.quotaExceeded
  return REASON.success
}

async function register(session: SessionCore, request: SubscriptionRequest, identifier: number): Promise<Granted> {
  const { filter, noLocal, retainAsPublished } = request
  const { context } = session
  const began = await context.store.register(filter)
  // A subscription that is replaced goes on: what it was owed it is still owed [MQTT-3.8.4-3]. At QoS 0 it was owed nothing that is not sent.
  const replaced = session.subscriptions.get(filter)
  const since = replaced !== undefined && replaced.qos > 0 ? replaced.since : began
  const qos = Math.min(request.qos, context.config.maxQos)
  return { request, began, subscription: { filter, qos, noLocal, retainAsPublished, identifier, since } }
}

/** Without the logs that will not be there when the session is taken up again. */
const storedForm = ({ durableLogs }: BrokerContext, subscription: Subscription): Subscription => ({
  ...subscription,
  since: subscription.since.filter(({ log }) => durableLogs.has(log)),
})

/** Makes the subscription live; returns the feed of retained messages that it is owed. */
function activate(session: SessionCore, { request, subscription, began }: Granted): RetainedFeed | undefined {
  const { context } = session
  const { filter } = subscription
  const isNew = !session.subscriptions.has(filter)
  // Interests are counted: one is enough for a filter of a session.
  if (!isNew) context.store.deregister(filter)
  session.stopFeed(filter)
  session.subscriptions.set(filter, subscription)
  context.table.add(session, subscription)
  const logs = began.filter(({ log }) => context.durableLogs.has(log)).map(({ log }) => log)
  for (const log of logs) session.consumer.follow(log)
  if (!context.config.retainAvailable || request.retainHandling === 2 || (request.retainHandling === 1 && !isNew)) return undefined
  const live = logs.map((log) => ({ log, position: context.store.extent(log).end }))
  return new RetainedFeed(context.store, context.meta, context.clock, session, subscription, live)
}

export async function handleUnsubscribe(session: SessionCore, packet: UnsubscribePacket, answer: Answer): Promise<void> {
  const { context } = session
  const known = packet.filters.filter((filter) => session.subscriptions.has(filter))
  if (session.persistent && known.length > 0) {
    const { tenant, clientId } = session.record
    const written = await context.meta.unsubscribe({ tenant, clientId }, session.epoch, known)
    if (written.kind === 'fenced') session.link.takenOver()
  }
  if (session.closed) return
  const reasonCodes = packet.filters.map((filter) => {
    if (!session.subscriptions.delete(filter)) return REASON.noSubscriptionExisted
    context.table.remove(session, filter)
    context.store.deregister(filter)
    session.stopFeed(filter)
    return REASON.success
  })
  answer(packet.packetId, reasonCodes)
}
