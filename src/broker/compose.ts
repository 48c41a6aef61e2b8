// SPDX-License-Identifier: Apache-2.0
// Puts the parts of a broker together. Names every part and decides nothing.
import type { Config } from '#base/config/schema'
import type { Logger } from '#base/port/logger'
import type { Ports } from '#base/port/ports'
import type { MetaClient } from '#contract/client/meta-client'
import type { ShareClient } from '#contract/client/share-client'
import { type BrokerIdentity, EXPIRY_NEVER } from '#contract/record/session'
import { ShardRouter, type ShardStore } from '#storage'
import type { BrokerContext, MqttSettings } from './handler/mqtt/context.ts'
import { SessionRegistry } from './handler/mqtt/session-registry.ts'
import { TopicBytes } from './handler/mqtt/topic-bytes.ts'
import { AutoSubscriber } from './message/auto-subscribe.ts'
import { AwaySessions } from './message/away-sessions.ts'
import { CursorSaver } from './message/cursor-saver.ts'
import { DelayedMessages } from './message/delayed.ts'
import { durableLogsOf } from './message/durable-logs.ts'
import { FeedTurns } from './message/feed-turns.ts'
import { Publisher } from './message/publish.ts'
import { RetainedQuota } from './message/retained-quota.ts'
import { TopicRewriter } from './message/rewrite.ts'
import { ShareGroups } from './message/share-groups.ts'
import { SubscriptionTable } from './message/subscription-table.ts'
import { WillPublisher } from './message/will.ts'
import { createBrokerMetrics } from './metric/broker-metrics.ts'
import { createSecurityMetrics } from './metric/security-metrics.ts'
import { Backpressure } from './network/backpressure.ts'
import { DeadlineWheel } from './network/deadline-wheel.ts'
import { FlushQueue } from './network/flush-queue.ts'
import { OutgoingPublish, READER_LIMITS } from './protocol/mqtt/index.ts'
import { Security, securitySettings } from './security/security.ts'
import { Operation } from './service/operation.ts'

/** A context whose settings can be replaced, by the broker only. */
export type OwnedContext = Omit<BrokerContext, 'config'> & { config: MqttSettings }

/** What the broker itself answers. */
export interface BrokerAnswers {
  readonly context: () => OwnedContext
  readonly identity: () => BrokerIdentity
  /** Connections that are open. */
  readonly connections: () => number
}

export interface BrokerParts {
  readonly context: OwnedContext
  readonly operation: Operation
}

type BrokerStore = ShardStore & ShareClient

export const settingsOf = ({ mqtt, mqttOfflineMessage }: Config): MqttSettings => ({
  ...mqtt,
  storeQos0: mqttOfflineMessage.storeQos0,
  offline: {
    maxAge: mqttOfflineMessage.maxAge,
    maxMessages: mqttOfflineMessage.maxMessages === 0 ? Number.POSITIVE_INFINITY : mqttOfflineMessage.maxMessages,
  },
  sessionExpiryMaxSeconds: Math.min(Math.floor(mqtt.sessionExpiryMax / 1000), EXPIRY_NEVER),
})

export function composeBroker(ports: Ports, config: Config, meta: MetaClient, store: BrokerStore, answers: BrokerAnswers): BrokerParts {
  const { clock, random } = ports
  const logger = ports.logger.scope('broker')
  const inward = composePublishing(ports, config, meta, store, logger, answers)
  const outward = composeDelivery(ports, config, meta, store, logger, answers, inward)
  const { mqtt } = config
  const { publisher, delayed, wills } = inward
  const { operation, shares } = outward
  const { events, systemTopics, systemValues, diskAlarm, memoryAlarm, slowSubscriptions, stalls, flapping } = operation
  // The sequences of a session outlive it as long as a message of its is being published under one.
  const sequences = { forget: (uids: readonly number[]) => delayed.forget(uids).then(() => store.forget(uids)) }
  const context: OwnedContext = {
    clock,
    random: random.stream('broker'),
    logger,
    config: settingsOf(config),
    identity: answers.identity,
    meta,
    store,
    ...inward,
    metrics: outward.metrics,
    durableLogs: outward.durableLogs,
    table: outward.table,
    saver: outward.saver,
    feedTurns: new FeedTurns(),
    sessions: outward.sessions,
    shares,
    away: new AwaySessions(meta, sequences, wills, shares, events, clock, logger),
    rewriter: new TopicRewriter(mqtt.topicLevelsMax, mqtt.rewrite),
    autoSubscriber: new AutoSubscriber(mqtt.autoSubscribe),
    flushQueue: new FlushQueue(clock),
    deadlines: new DeadlineWheel(clock),
    backpressure: new Backpressure(clock, () => publisher.pendingBytes + delayed.pendingBytes),
    diskAlarm,
    memoryAlarm,
    slowSubscriptions,
    stalls,
    flapping,
    events,
    systemTopics,
    systemValues,
    readerLimits: { ...READER_LIMITS, packetSizeMax: mqtt.maxPacketSize, topicLevelsMax: mqtt.topicLevelsMax },
    outgoingPublish: new OutgoingPublish(),
    topicBytes: new TopicBytes(),
  }
  return { context, operation }
}

type Inward = Pick<BrokerContext, 'router' | 'retainedQuota' | 'publisher' | 'security' | 'wills' | 'delayed'>

/** The way in: from a client's message to the logs. */
function composePublishing(
  ports: Ports,
  config: Config,
  meta: MetaClient,
  store: BrokerStore,
  logger: Logger,
  { context }: BrokerAnswers,
): Inward {
  const { clock } = ports
  const { defaultStorage, defaultModel } = config.engine
  const { enable, storeQos0 } = config.mqttOfflineMessage
  const router = new ShardRouter(store, { storage: defaultStorage, model: defaultModel, offline: enable, storeQos0 }, config.topic)
  const retainedQuota = new RetainedQuota(
    meta,
    () => context().config,
    () => context().metrics.unretained,
    () => clock.realtime(),
  )
  const publisher = new Publisher(store, clock, () => router.placeAgain(), retainedQuota)
  const security = new Security(ports, createSecurityMetrics(ports.metrics), securitySettings(config))
  const wills = new WillPublisher(publisher, router, store, durableLogsOf(store), meta, clock, ({ clientId }, will) =>
    security.mayPublishLater('will', { ...will, clientId }),
  )
  const delayed = new DelayedMessages(meta.delayed, publisher, router, store, ports, logger, config.mqtt, (message) =>
    security.mayPublishLater('delayed', message),
  )
  return { router, retainedQuota, publisher, security, wills, delayed }
}

type Outward = Pick<BrokerContext, 'metrics' | 'durableLogs' | 'table' | 'saver' | 'sessions' | 'shares'> & {
  readonly operation: Operation
}

/** The way out: from the logs to the clients, and what can be seen of it. */
function composeDelivery(
  ports: Ports,
  config: Config,
  meta: MetaClient,
  store: BrokerStore,
  logger: Logger,
  { context, connections }: BrokerAnswers,
  { publisher, delayed }: Inward,
): Outward {
  const { clock, random } = ports
  const table = new SubscriptionTable()
  const sessions = new SessionRegistry()
  const subscriptions = (): number => table.size + shares.memberCount
  const metrics = createBrokerMetrics(ports.metrics, {
    connections,
    sessions: () => sessions.connected,
    subscriptions,
    sharedGroups: () => shares.size,
    delayed: () => delayed.count,
    diskAlarm: () => Number(operation.diskAlarm.raised),
    memoryAlarm: () => Number(operation.memoryAlarm.raised),
    banned: () => operation.flapping.banned,
  })
  const saver = new CursorSaver(meta, clock, logger)
  const durableLogs = durableLogsOf(store)
  const figures = {
    connected: () => sessions.connected,
    sessions: () => sessions.connected + context().away.size,
    subscriptions,
    retained: () => meta.retainedCount(),
  }
  const isWatched = (): boolean => table.hasBranch('$SYS') || shares.size > 0
  const operation = new Operation(ports, logger, config, { publisher, store, metrics }, figures, isWatched)
  const services = { clock, logger, metrics, events: operation.events, saver, durableLogs }
  const emptyMsMax = config.engine.retention.maxAge
  const shares = new ShareGroups(store, meta, services, random.stream('shared groups'), () => context().config, emptyMsMax)
  return { metrics, durableLogs, table, saver, sessions, shares, operation }
}
