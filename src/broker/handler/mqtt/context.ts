// SPDX-License-Identifier: Apache-2.0
// What every connection of a broker shares. Made once by broker.ts.
import type { Config } from '#base/config/schema'
import type { Clock } from '#base/port/clock'
import type { Logger } from '#base/port/logger'
import type { Random } from '#base/port/random'
import type { MetaClient } from '#contract/client/meta-client'
import type { BrokerIdentity, ExpirySeconds } from '#contract/record/session'
import type { OfflineLimit, ShardRouter, ShardStore } from '#storage'
import type { AutoSubscriber } from '../../message/auto-subscribe.ts'
import type { AwaySessions } from '../../message/away-sessions.ts'
import type { CursorSaver } from '../../message/cursor-saver.ts'
import type { DelayedMessages } from '../../message/delayed.ts'
import type { LogSet } from '../../message/durable-logs.ts'
import type { BrokerEvents } from '../../message/events.ts'
import type { FeedTurns } from '../../message/feed-turns.ts'
import type { Publisher } from '../../message/publish.ts'
import type { RetainedQuota } from '../../message/retained-quota.ts'
import type { TopicRewriter } from '../../message/rewrite.ts'
import type { ShareGroups } from '../../message/share-groups.ts'
import type { SubscriptionTable } from '../../message/subscription-table.ts'
import type { SystemTopics } from '../../message/sys-topics.ts'
import type { SystemValues } from '../../message/system-values.ts'
import type { WillPublisher } from '../../message/will.ts'
import type { BrokerMetrics } from '../../metric/broker-metrics.ts'
import type { SlowSubscriptions } from '../../metric/slow-subscriptions.ts'
import type { Backpressure } from '../../network/backpressure.ts'
import type { DeadlineWheel } from '../../network/deadline-wheel.ts'
import type { DiskAlarm } from '../../network/disk-alarm.ts'
import type { FlushQueue } from '../../network/flush-queue.ts'
import type { MemoryAlarm } from '../../network/memory-alarm.ts'
import type { WriteStalls } from '../../network/write-stall.ts'
import type { OutgoingPublish, ReaderLimits } from '../../protocol/mqtt/index.ts'
import type { Flapping } from '../../security/flapping.ts'
import type { Security } from '../../security/security.ts'
import type { SessionRegistry } from './session-registry.ts'
import type { TopicBytes } from './topic-bytes.ts'

/** The settings of MQTT, and those of other sections that its rules depend on. */
export type MqttSettings = Config['mqtt'] & {
  readonly storeQos0: boolean
  readonly sessionExpiryMaxSeconds: ExpirySeconds
  /** What sessions are given of the time when they were away, besides the settings of topics. */
  readonly offline: OfflineLimit
}

export interface BrokerContext {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly metrics: BrokerMetrics
  /** Replaced as a whole when the configuration is reloaded: to be read at use. */
  readonly config: MqttSettings
  /** This life of the node. */
  readonly identity: () => BrokerIdentity
  readonly meta: MetaClient
  readonly store: ShardStore
  /** Logs that outlive the process. The others begin anew with it: there is nothing in them to come back to. */
  readonly durableLogs: LogSet
  readonly router: ShardRouter
  readonly publisher: Publisher
  readonly retainedQuota: RetainedQuota
  readonly feedTurns: FeedTurns
  readonly table: SubscriptionTable
  readonly saver: CursorSaver
  readonly away: AwaySessions
  readonly shares: ShareGroups
  readonly wills: WillPublisher
  readonly delayed: DelayedMessages
  readonly rewriter: TopicRewriter
  readonly autoSubscriber: AutoSubscriber
  readonly flushQueue: FlushQueue
  readonly deadlines: DeadlineWheel
  readonly backpressure: Backpressure
  readonly diskAlarm: DiskAlarm
  readonly memoryAlarm: MemoryAlarm
  readonly slowSubscriptions: SlowSubscriptions
  readonly stalls: WriteStalls
  readonly flapping: Flapping
  readonly events: BrokerEvents
  readonly systemTopics: SystemTopics
  readonly systemValues: SystemValues
  readonly sessions: SessionRegistry
  readonly security: Security
  readonly readerLimits: ReaderLimits
  /** Used again for every message that is sent. */
  readonly outgoingPublish: OutgoingPublish
  readonly topicBytes: TopicBytes
}

/** Every key carries a tenant; there is one so far. */
export const TENANT = 'default'
