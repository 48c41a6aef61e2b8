// SPDX-License-Identifier: Apache-2.0
// The broker role: puts its layers together, and starts and stops them in order.

import { must } from '#base/assert'
import type { Component } from '#base/component'
import { closedListeners, listenersOf } from '#base/config/listener'
import type { Config } from '#base/config/schema'
import type { Ports } from '#base/port/ports'
import type { MetaClient } from '#contract/client/meta-client'
import type { ShareClient } from '#contract/client/share-client'
import { type BrokerIdentity, EXPIRY_NEVER } from '#contract/record/session'
import { ShardRouter, type ShardStore } from '#storage'
import { reviewAll } from './handler/mqtt/access-review.ts'
import { Connection } from './handler/mqtt/connection.ts'
import type { BrokerContext, MqttSettings } from './handler/mqtt/context.ts'
import { SessionRegistry } from './handler/mqtt/session-registry.ts'
import { TopicBytes } from './handler/mqtt/topic-bytes.ts'
import { AutoSubscriber } from './message/auto-subscribe.ts'
import { AwaySessions } from './message/away-sessions.ts'
import { CursorSaver } from './message/cursor-saver.ts'
import { DelayedMessages } from './message/delayed.ts'
import { Delivery } from './message/delivery.ts'
import { Publisher } from './message/publish.ts'
import { RetainedQuota } from './message/retained-quota.ts'
import { TopicRewriter } from './message/rewrite.ts'
import { ShareGroups } from './message/share-groups.ts'
import { SubscriptionTable } from './message/subscription-table.ts'
import { WillPublisher } from './message/will.ts'
import { createBrokerMetrics } from './metric/broker-metrics.ts'
import { createSecurityMetrics } from './metric/security-metrics.ts'
import { Acceptor } from './network/acceptor.ts'
import { Backpressure } from './network/backpressure.ts'
import { DeadlineWheel } from './network/deadline-wheel.ts'
import { FlushQueue } from './network/flush-queue.ts'
import { ListenerSet } from './network/listener-set.ts'
import { OutgoingPublish, READER_LIMITS } from './protocol/mqtt/index.ts'
import { Operation } from './service/operation.ts'
import { Security, securitySettings } from './security/security.ts'

export class Broker implements Component {
  readonly name = 'broker'
  readonly #nodeId: number
  /** Its settings can be replaced, here only. */
  readonly #context: Omit<BrokerContext, 'config'> & { config: MqttSettings }
  readonly #operation: Operation
  readonly #listeners: ListenerSet
  readonly #acceptor: Acceptor
  readonly #connections = new Set<Connection>()
  #identity: BrokerIdentity | undefined

  constructor(ports: Ports, config: Config, meta: MetaClient, store: ShardStore & ShareClient) {
    const { clock, random } = ports
    const logger = ports.logger.scope('broker')
    const table = new SubscriptionTable()
    const sessions = new SessionRegistry()
    const router = new ShardRouter(
      store,
      { storage: config.engine.defaultStorage, offline: config.mqttOfflineMessage.enable, storeQos0: config.mqttOfflineMessage.storeQos0 },
      config.topic,
    )
    const retainedQuota = new RetainedQuota(
      meta,
      () => this.#context.config,
      () => this.#context.metrics.unretained,
      () => clock.realtime(),
    )
    const publisher = new Publisher(store, clock, retainedQuota)
    const security = new Security(ports, createSecurityMetrics(ports.metrics), securitySettings(config))
    const wills = new WillPublisher(publisher, router, store, meta, clock, (session, will) => security.mayFireWill(session.clientId, will))
    const { mqtt } = config
    const delayed = new DelayedMessages(meta.delayed, publisher, router, store, ports, logger, mqtt)
    const closed = closedListeners(config).join(' ')
    if (closed !== '') logger.log('info', 'no certificate, no TLS: set tls.cert and tls.key', { closed })
    this.#listeners = new ListenerSet({ ...ports, logger }, listenersOf(config), mqtt.maxPacketSize)
    this.#nodeId = config.nodeId
    this.#acceptor = new Acceptor(
      this.#listeners,
      mqtt.connectionsMax,
      (channel, listener) => {
        const connection = new Connection(this.#context, channel, (closed) => {
          this.#connections.delete(closed)
          this.#acceptor.released(channel, listener)
        })
        this.#connections.add(connection)
        return connection
      },
      (limit) => {
        this.#context.metrics.connectionsRefused.add(1)
        if (limit !== undefined) this.#context.metrics.limits[limit].add(1)
      },
      () => this.#context.config,
      clock,
    )
    const metrics = createBrokerMetrics(ports.metrics, {
      connections: () => this.#acceptor.connections,
      sessions: () => sessions.connected,
      subscriptions: () => table.size,
      delayed: () => delayed.count,
      diskAlarm: () => Number(operation.diskAlarm.raised),
      banned: () => operation.flapping.banned,
    })
    const saver = new CursorSaver(meta, clock, logger)
    const durableLogs = new Set(store.logs().flatMap(({ id, storage }) => (storage === 'memory' ? [] : [id])))
    const shares = new ShareGroups(
      store,
      meta,
      { clock, logger, metrics, saver, durableLogs },
      random.stream('shared groups'),
      () => this.#context.config,
      config.engine.retention.maxAge,
    )
    const figures = {
      connected: () => sessions.connected,
      sessions: () => sessions.connected + this.#context.away.size,
      subscriptions: () => table.size,
      retained: () => meta.retainedCount(),
    }
    const isWatched = (): boolean => table.hasBranch('$SYS') || shares.size > 0
    const operation = new Operation(ports, logger, config, { publisher, store, metrics }, figures, isWatched)
    this.#operation = operation
    const { events, systemTopics, systemValues, diskAlarm, stalls, flapping } = operation
    this.#context = {
      clock,
      random: random.stream('broker'),
      logger,
      metrics,
      config: settingsOf(config),
      identity: () => must(this.#identity, 'the broker accepts connections after it has registered'),
      meta,
      store,
      durableLogs,
      router,
      publisher,
      retainedQuota,
      table,
      saver,
      // The sequences of a session outlive it as long as a message of its is being published under one.
      away: new AwaySessions(meta, { forget: (uids) => delayed.forget(uids).then(() => store.forget(uids)) }, wills, shares, events, clock, logger),
      shares,
      wills,
      delayed,
      rewriter: new TopicRewriter(mqtt.topicLevelsMax, mqtt.rewrite),
      autoSubscriber: new AutoSubscriber(mqtt.autoSubscribe),
      flushQueue: new FlushQueue(clock),
      deadlines: new DeadlineWheel(clock),
      backpressure: new Backpressure(clock, () => publisher.pendingBytes + delayed.pendingBytes),
      diskAlarm,
      stalls,
      flapping,
      events,
      systemTopics,
      systemValues,
      sessions,
      security,
      readerLimits: { ...READER_LIMITS, packetSizeMax: mqtt.maxPacketSize, topicLevelsMax: mqtt.topicLevelsMax },
      outgoingPublish: new OutgoingPublish(),
      topicBytes: new TopicBytes(),
    }
    store.attach(new Delivery(table, clock))
  }

  /** Where clients can connect. */
  addresses(): readonly string[] {
    return this.#listeners.addresses
  }

  async start(): Promise<void> {
    this.#identity = await this.#context.meta.registerNode(this.#nodeId, this.#context.clock.realtime())
    const { meta, delayed, shares, away } = this.#context
    await delayed.start((after, count) => meta.sessions(after, count))
    await shares.start(this.#identity)
    await away.start(this.#identity)
    await this.#operation.start()
    await this.#acceptor.start()
  }

  async reload(config: Config): Promise<void> {
    const { router, security, clock, delayed, rewriter, autoSubscriber } = this.#context
    this.#context.config = settingsOf(config)
    router.setTopics(config.topic)
    delayed.setLimits(config.mqtt)
    rewriter.setRules(config.mqtt.rewrite)
    autoSubscriber.setRules(config.mqtt.autoSubscribe)
    this.#operation.reload(config)
    if (security.reload(securitySettings(config))) await reviewAll(clock, this.#connections)
    await this.#listeners.refresh()
  }

  /** Says goodbye to the clients and saves their sessions. */
  async stop(): Promise<void> {
    await this.#acceptor.stop()
    this.#operation.stop()
    await Promise.all([...this.#connections].map((connection) => connection.shutDown()))
    this.#context.deadlines.stop()
    await this.#context.delayed.stop()
    await this.#context.away.stop()
    this.#context.shares.stop()
  }
}

const settingsOf = ({ mqtt, mqttOfflineMessage }: Config): MqttSettings => ({
  ...mqtt,
  storeQos0: mqttOfflineMessage.storeQos0,
  offline: {
    maxAge: mqttOfflineMessage.maxAge,
    maxMessages: mqttOfflineMessage.maxMessages === 0 ? Number.POSITIVE_INFINITY : mqttOfflineMessage.maxMessages,
  },
  sessionExpiryMaxSeconds: Math.min(Math.floor(mqtt.sessionExpiryMax / 1000), EXPIRY_NEVER),
})
