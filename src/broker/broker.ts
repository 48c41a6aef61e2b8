// SPDX-License-Identifier: Apache-2.0
// The broker role: puts its layers together, and starts and stops them in order.

import { must } from '#base/assert'
import type { Component } from '#base/component'
import { closedListeners, type ListenerSettings, listenersOf } from '#base/config/listener'
import type { Config } from '#base/config/schema'
import type { Channel } from '#base/port/network'
import type { Ports } from '#base/port/ports'
import type { MetaClient } from '#contract/client/meta-client'
import type { ShareClient } from '#contract/client/share-client'
import type { BrokerIdentity } from '#contract/record/session'
import type { ShardStore, TopicPolicy } from '#storage'
import { composeBroker, type OwnedContext, settingsOf } from './compose.ts'
import { reviewAll } from './handler/mqtt/access-review.ts'
import { Connection } from './handler/mqtt/connection.ts'
import { Delivery } from './message/delivery.ts'
import { createListenerMetrics } from './metric/listener-metrics.ts'
import { Acceptor } from './network/acceptor.ts'
import { ListenerSet } from './network/listener-set.ts'
import { ListenerTraffic } from './network/listener-traffic.ts'
import { securitySettings } from './security/security.ts'
import type { Operation } from './service/operation.ts'

export class Broker implements Component {
  readonly name = 'broker'
  readonly #nodeId: number
  readonly #context: OwnedContext
  readonly #operation: Operation
  readonly #listeners: ListenerSet
  readonly #acceptor: Acceptor
  readonly #traffic: ReadonlyMap<ListenerSettings, ListenerTraffic>
  readonly #connections = new Set<Connection>()
  #identity: BrokerIdentity | undefined

  constructor(ports: Ports, config: Config, meta: MetaClient, store: ShardStore & ShareClient) {
    const { context, operation } = composeBroker(ports, config, meta, store, {
      context: () => this.#context,
      identity: () => must(this.#identity, 'the broker accepts connections after it has registered'),
      connections: () => this.#acceptor.connections,
    })
    const { clock, logger, metrics, table } = context
    this.#context = context
    this.#operation = operation
    this.#nodeId = config.nodeId
    const closed = closedListeners(config).join(' ')
    if (closed !== '') logger.log('info', 'no certificate, no TLS: set tls.cert and tls.key', { closed })
    const listeners = listenersOf(config)
    const trafficOf = (listener: ListenerSettings) =>
      new ListenerTraffic(clock, listener, createListenerMetrics(ports.metrics, listener.name))
    this.#traffic = new Map(listeners.map((listener) => [listener, trafficOf(listener)]))
    this.#listeners = new ListenerSet({ ...ports, logger }, listeners, config.mqtt.maxPacketSize)
    this.#acceptor = new Acceptor(
      this.#listeners,
      config.mqtt.connectionsMax,
      (channel, listener) => this.#accept(channel, listener),
      (limit) => {
        metrics.connectionsRefused.add(1)
        if (limit !== undefined) metrics.limits[limit].add(1)
      },
      () => this.#context.config,
      clock,
    )
    store.attach(new Delivery(table))
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

  /** Settings of topics: in force at once, for what is published from now on. */
  setTopics(topics: readonly TopicPolicy[]): void {
    this.#context.router.setTopics(topics)
  }

  async reload(config: Config): Promise<void> {
    const { security, clock, delayed, rewriter, autoSubscriber } = this.#context
    this.#context.config = settingsOf(config)
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

  #accept(channel: Channel, listener: ListenerSettings): Connection {
    const traffic = must(this.#traffic.get(listener), 'every listener has its traffic counted')
    const connection = new Connection(this.#context, channel, { admission: listener.admission, traffic }, (closed) => {
      this.#acceptor.released(channel, listener)
      // Until its session is closed, the node that stops has to wait for it.
      void closed.shutDown().then(() => this.#connections.delete(closed))
    })
    this.#connections.add(connection)
    return connection
  }
}
