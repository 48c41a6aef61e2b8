// SPDX-License-Identifier: Apache-2.0
// The broker role: puts its layers together, and starts and stops them in order.

import { must } from '#base/assert'
import type { Component } from '#base/component'
import type { Config } from '#base/config/schema'
import type { Ports } from '#base/port/ports'
import type { MetaClient } from '#contract/client/meta-client'
import { type BrokerIdentity, EXPIRY_NEVER } from '#contract/record/session'
import { ShardRouter, type ShardStore } from '#storage'
import { Connection } from './handler/mqtt/connection.ts'
import type { BrokerContext } from './handler/mqtt/context.ts'
import { SessionRegistry } from './handler/mqtt/session-registry.ts'
import { TopicBytes } from './handler/mqtt/topic-bytes.ts'
import { AwaySessions } from './message/away-sessions.ts'
import { CursorSaver } from './message/cursor-saver.ts'
import { Delivery } from './message/delivery.ts'
import { Publisher } from './message/publish.ts'
import { SubscriptionTable } from './message/subscription-table.ts'
import { WillPublisher } from './message/will.ts'
import { createBrokerMetrics } from './metric/broker-metrics.ts'
import { Acceptor } from './network/acceptor.ts'
import { Backpressure } from './network/backpressure.ts'
import { DeadlineWheel } from './network/deadline-wheel.ts'
import { FlushQueue } from './network/flush-queue.ts'
import { OutgoingPublish, READER_LIMITS } from './protocol/mqtt/index.ts'

export class Broker implements Component {
  readonly name = 'broker'
  readonly #nodeId: number
  readonly #context: BrokerContext
  readonly #acceptor: Acceptor
  readonly #connections = new Set<Connection>()
  #identity: BrokerIdentity | undefined

  constructor(ports: Ports, config: Config, meta: MetaClient, store: ShardStore) {
    const { clock, random, network } = ports
    const logger = ports.logger.scope('broker')
    const table = new SubscriptionTable()
    const sessions = new SessionRegistry()
    const router = new ShardRouter(
      store,
      { storage: config.engine.defaultStorage, offline: config.mqttOfflineMessage.enable, storeQos0: config.mqttOfflineMessage.storeQos0 },
      [],
    )
    const publisher = new Publisher(store, clock)
    const wills = new WillPublisher(publisher, router, store, meta, clock)
    const { mqtt } = config
    const listeners = mqtt.tcpPort === 0 ? [] : [network.listener({ transport: 'tcp', host: mqtt.bind, port: mqtt.tcpPort })]
    this.#nodeId = config.nodeId
    this.#acceptor = new Acceptor(
      listeners,
      mqtt.connectionsMax,
      (channel) => {
        const connection = new Connection(this.#context, channel, (closed) => {
          this.#connections.delete(closed)
          this.#acceptor.released()
        })
        this.#connections.add(connection)
        return connection
      },
      () => this.#context.metrics.connectionsRefused.add(1),
    )
    this.#context = {
      clock,
      random: random.stream('broker'),
      logger,
      metrics: createBrokerMetrics(ports.metrics, {
        connections: () => this.#acceptor.connections,
        sessions: () => sessions.connected,
        subscriptions: () => table.size,
      }),
      config: {
        ...mqtt,
        storeQos0: config.mqttOfflineMessage.storeQos0,
        allowAnonymous: config.security.allowAnonymous,
        sessionExpiryMaxSeconds: Math.min(Math.floor(mqtt.sessionExpiryMax / 1000), EXPIRY_NEVER),
      },
      identity: () => must(this.#identity, 'the broker accepts connections after it has registered'),
      meta,
      store,
      durableLogs: new Set(store.logs().flatMap(({ id, storage }) => (storage === 'memory' ? [] : [id]))),
      router,
      publisher,
      table,
      saver: new CursorSaver(meta, clock, logger),
      away: new AwaySessions(meta, store, wills, clock, logger),
      wills,
      flushQueue: new FlushQueue(clock),
      deadlines: new DeadlineWheel(clock),
      backpressure: new Backpressure(clock, () => publisher.pendingBytes),
      sessions,
      readerLimits: { ...READER_LIMITS, packetSizeMax: mqtt.maxPacketSize, topicLevelsMax: mqtt.topicLevelsMax },
      outgoingPublish: new OutgoingPublish(),
      topicBytes: new TopicBytes(),
    }
    store.attach(new Delivery(table, clock))
  }

  /** Where clients can connect. */
  addresses(): readonly string[] {
    return this.#acceptor.addresses.map((address) => `mqtt ${address}`)
  }

  async start(): Promise<void> {
    this.#identity = await this.#context.meta.registerNode(this.#nodeId, this.#context.clock.realtime())
    await this.#context.away.start(this.#identity)
    await this.#acceptor.start()
  }

  /** Says goodbye to the clients and saves their sessions. */
  async stop(): Promise<void> {
    await this.#acceptor.stop()
    await Promise.all([...this.#connections].map((connection) => connection.shutDown()))
    this.#context.deadlines.stop()
    await this.#context.away.stop()
  }
}
