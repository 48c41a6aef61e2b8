// SPDX-License-Identifier: Apache-2.0
// What those who operate a broker see of it, and what keeps it standing: put together here, started and stopped with the broker.
import type { Config } from '#base/config/schema'
import type { Logger } from '#base/port/logger'
import type { Ports } from '#base/port/ports'
import type { ShardStore } from '#storage'
import { BrokerEvents } from '../message/events.ts'
import type { Publisher } from '../message/publish.ts'
import { SystemTopics } from '../message/sys-topics.ts'
import { SystemPublisher } from '../message/system-publisher.ts'
import { type SystemFigures, SystemValues } from '../message/system-values.ts'
import type { BrokerMetrics } from '../metric/broker-metrics.ts'
import { SlowSubscriptions } from '../metric/slow-subscriptions.ts'
import { DiskAlarm } from '../network/disk-alarm.ts'
import { MemoryAlarm } from '../network/memory-alarm.ts'
import { WriteStalls } from '../network/write-stall.ts'
import { Flapping } from '../security/flapping.ts'

/** Figures that are not counted by metrics. */
export type OtherFigures = Pick<SystemFigures, 'connected' | 'sessions' | 'subscriptions' | 'retained'>

export class Operation {
  readonly events: BrokerEvents
  readonly systemValues: SystemValues
  readonly systemTopics: SystemTopics
  readonly diskAlarm: DiskAlarm
  readonly memoryAlarm: MemoryAlarm
  readonly slowSubscriptions: SlowSubscriptions
  readonly stalls: WriteStalls
  readonly flapping: Flapping
  #writeStallTimeoutMs: number

  /** `isWatched`: whether anyone may have subscribed below $SYS. */
  constructor(
    { clock, disk, memory, metrics: instruments }: Pick<Ports, 'clock' | 'disk' | 'memory' | 'metrics'>,
    logger: Logger,
    config: Config,
    { publisher, store, metrics }: { readonly publisher: Publisher; readonly store: ShardStore; readonly metrics: BrokerMetrics },
    figures: OtherFigures,
    isWatched: () => boolean,
  ) {
    const { nodeId, mqtt, limits, security } = config
    const system = new SystemPublisher(publisher, store)
    this.events = new BrokerEvents(clock, system, nodeId, metrics.eventsSuppressed, mqtt.events)
    this.slowSubscriptions = new SlowSubscriptions(clock, instruments, mqtt.slowSubscriptions)
    this.systemValues = new SystemValues(clock, nodeId, figuresOf(metrics, figures, this.slowSubscriptions))
    this.systemTopics = new SystemTopics(clock, system, isWatched, this.systemValues.list(), mqtt.sysInterval)
    this.diskAlarm = new DiskAlarm(clock, disk, logger, limits.diskFreeMin)
    this.memoryAlarm = new MemoryAlarm(clock, memory, logger, limits.memoryHigh)
    this.#writeStallTimeoutMs = mqtt.writeStallTimeout
    this.stalls = new WriteStalls(clock, () => this.#writeStallTimeoutMs)
    this.flapping = new Flapping(clock, security.flapping)
  }

  async start(): Promise<void> {
    await this.diskAlarm.start()
    this.memoryAlarm.start()
    this.systemValues.start()
    this.systemTopics.start()
  }

  stop(): void {
    this.diskAlarm.stop()
    this.memoryAlarm.stop()
    this.systemValues.stop()
    this.systemTopics.stop()
    this.stalls.stop()
  }

  reload({ mqtt, limits, security }: Config): void {
    this.events.settings = mqtt.events
    this.systemTopics.setInterval(mqtt.sysInterval)
    this.diskAlarm.freeMinBytes = limits.diskFreeMin
    this.memoryAlarm.highBytes = limits.memoryHigh
    this.slowSubscriptions.settings = mqtt.slowSubscriptions
    this.#writeStallTimeoutMs = mqtt.writeStallTimeout
    this.flapping.settings = security.flapping
  }
}

const figuresOf = (metrics: BrokerMetrics, others: OtherFigures, slow: SlowSubscriptions): SystemFigures => ({
  ...others,
  slowSubscriptions: () => slow.list(),
  messagesReceived: () => metrics.messagesReceived.count,
  messagesSent: () => metrics.messagesSent.count,
  messagesDropped: () =>
    metrics.droppedQueueFull.count +
    metrics.droppedTooLarge.count +
    metrics.droppedRetention.count +
    metrics.droppedExpired.count +
    metrics.droppedOfflineAge.count +
    metrics.droppedOfflineCount.count,
  bytesReceived: () => metrics.bytesReceived.count,
  bytesSent: () => metrics.bytesSent.count,
  connections: () => metrics.connectionsAccepted.count,
})
