// SPDX-License-Identifier: Apache-2.0
// Every key of the configuration: the one place that names it, its type, default, range and meaning. config.toml is generated from it.
import { isValidFilter } from '../topic-filter.ts'
import { CLUSTER, CLUSTER_NODE, META_TIMING } from './cluster-schema.ts'
import {
  boolean,
  choice,
  duration,
  integer,
  type Key,
  list,
  optional,
  type Section,
  section,
  size,
  type Tables,
  tables,
  text,
  type ValueOf,
} from './key.ts'
import { HOST, LISTENERS, SIMPLE_LISTENERS, TLS } from './listener-schema.ts'
import { AUTO_SUBSCRIBE, REWRITE } from './message-schema.ts'
import { LIMITS, MQTT_OPERATION } from './operation-schema.ts'
import { SECURITY } from './security-schema.ts'
import { SHARED } from './shared-schema.ts'

export const SCHEMA = section('', {
  clusterName: text({
    default: 'robustmq',
    pattern: /^[a-z0-9][a-z0-9_-]{0,62}$/,
    expected: 'up to 63 lower-case letters, digits, "-" or "_", the first a letter or digit',
    fixed: true,
    text: 'Name of the cluster: metrics show it, and nodes of another one are refused.',
  }),
  nodeId: integer({
    default: 1,
    min: 1,
    max: 65535,
    fixed: true,
    text: 'Identity of this node: unique in the cluster.',
  }),
  roles: list({
    default: ['meta', 'broker', 'engine'],
    values: ['meta', 'broker', 'engine'],
    text: 'What this node does: metadata, client connections, storage of messages. All three in one process.',
  }),
  dataPath: text({
    default: './data',
    pattern: /^[^\0]+$/,
    expected: 'a directory, absolute or relative to where the server is started',
    text: 'Directory of all data. One process at a time.',
  }),
  ...CLUSTER_NODE,
  httpHost: text({
    default: '127.0.0.1',
    ...HOST,
    text: 'Address of the admin HTTP server: /health/live, /health/ready, /metrics. It asks for no password.',
  }),
  httpPort: integer({ default: 58080, min: 0, max: 65535, text: 'Port of the admin HTTP server; 0 turns it off.' }),
  log: section('Log lines go to standard error.', {
    level: choice({
      default: 'info',
      values: ['debug', 'info', 'warn', 'error'],
      reload: true,
      text: 'The least important lines that are written.',
    }),
    format: choice({ default: 'text', values: ['text', 'json'], text: 'Text for people, JSON for machines.' }),
  }),
  prometheus: section('Metrics.', {
    enable: boolean({ default: true, text: 'Serve /metrics on the admin HTTP server.' }),
  }),
  cluster: CLUSTER,
  meta: section('Cluster coordination: sessions, subscriptions, cursors, retained messages.', {
    offsetGroups: integer({ default: 1, min: 1, max: 64, fixed: true, text: 'Raft groups for cursors.' }),
    dataGroups: integer({ default: 1, min: 1, max: 64, fixed: true, text: 'Raft groups for sessions and retained messages.' }),
    ...META_TIMING,
  }),
  engine: section('Storage of messages.', {
    defaultStorage: choice({
      default: 'segment',
      values: ['segment', 'rocksdb', 'memory'],
      text: 'Where the messages that must be stored are kept: on disk, in files of their own ("segment", written once) or in RocksDB; or in memory, which a restart loses.',
    }),
    defaultModel: choice({
      default: 'shared',
      values: ['shared', 'independent'],
      text: 'Whether topics share the logs that they are stored in ("shared", for any number of topics), or have one each ("independent", for topics with much traffic or limits of their own).',
    }),
    independentLogsMax: integer({
      default: 1024,
      min: 0,
      max: 4096,
      reload: true,
      text: 'Logs that belong to one topic, of all storage types; further topics share theirs. Each takes 50 to 100 KiB of memory, and one of type "segment" an open file and some milliseconds of each start and stop.',
    }),
    stripes: integer({
      default: 4,
      min: 1,
      max: 64,
      fixed: true,
      text: 'Logs of each storage type over which topics are spread.',
    }),
    memoryBytes: size({
      default: '64MiB',
      min: '1MiB',
      max: '64GiB',
      text: 'What the logs in memory keep, all together; older messages are dropped.',
    }),
    tailBytes: size({
      default: '8MiB',
      min: '1MiB',
      max: '64GiB',
      text: 'Recent records kept in memory for consumers that keep up; others read from the log.',
    }),
    segmentBytes: size({
      default: '256MiB',
      min: '1MiB',
      max: '1GiB',
      text: 'Size of a file of the storage type "segment"; of a log that belongs to one topic, at most 64MiB. Retention removes whole files.',
    }),
    fsync: choice({
      default: 'always',
      values: ['always'],
      text: 'When stored messages are forced to disk. "always" is before they are acknowledged; this version has no weaker choice.',
    }),
    walBytes: size({
      default: '256MiB',
      min: '16MiB',
      max: '64GiB',
      text: 'Size at which the oldest part of the write-ahead log is reclaimed.',
    }),
    scrubRate: size({
      default: '1MiB',
      min: '0B',
      max: '1GiB',
      reload: true,
      text: 'Bytes of stored messages, logs and metadata that are verified in the background in a second, so that damage is found early; 0 for none.',
    }),
    retention: section('How long stored messages are kept; whichever limit is reached first.', {
      maxAge: duration({ default: '7d', min: '1s', max: '36500d', reload: true, text: 'Older messages are deleted.' }),
      maxBytes: size({
        default: '10GiB',
        min: '1MiB',
        max: '1024TiB',
        reload: true,
        text: 'Bytes of messages kept of each storage type on disk, and of each log that belongs to one topic; the oldest are deleted. For "segment" it counts whole files, and one more may be kept.',
      }),
      checkInterval: duration({
        default: '1m',
        min: '1s',
        max: '1d',
        reload: true,
        text: 'How often messages are looked for that are to be deleted.',
      }),
    }),
  }),
  mqtt: section('MQTT listeners and limits.', {
    bind: text({
      default: '127.0.0.1',
      ...HOST,
      text: 'Address of the listeners. One that others can reach needs security.allow_anonymous to be set.',
    }),
    ...SIMPLE_LISTENERS,
    maxPacketSize: size({ default: '2MiB', min: '1KiB', max: '256MiB', text: 'Largest packet that is accepted; v5 clients are told.' }),
    maxQos: integer({ default: 2, min: 0, max: 2, text: 'Highest QoS; v5 clients are told.' }),
    keepAliveMax: duration({
      default: '65535s',
      min: '1s',
      max: '65535s',
      reload: true,
      text: 'Longest keep-alive; v5 clients that ask for more are given this one.',
    }),
    sessionExpiryMax: duration({
      default: 'never',
      min: '1s',
      max: '36500d',
      never: true,
      reload: true,
      text: 'Longest life of a session without its client; those that ask for more are given this one.',
    }),
    receiveMaximum: integer({
      default: 1024,
      min: 1,
      max: 65535,
      text: 'QoS 1 and 2 messages that a client may have unacknowledged on their way in.',
    }),
    inflightMax: integer({
      default: 1024,
      min: 1,
      max: 65535,
      reload: true,
      text: 'Unacknowledged messages on their way out to a client; it may ask for fewer.',
    }),
    topicAliasMaximum: integer({ default: 32, min: 0, max: 65535, text: 'Topic aliases that a v5 client may use; 0 for none.' }),
    topicLevelsMax: integer({ default: 256, min: 1, max: 1024, text: 'Levels of a topic or filter.' }),
    clientIdBytesMax: integer({ default: 1024, min: 23, max: 65535, reload: true, text: 'Bytes of a client id.' }),
    retainAvailable: boolean({ default: true, text: 'Whether messages may be retained; v5 clients are told.' }),
    retainedMaxMessages: integer({
      default: 10_000_000,
      min: 0,
      max: 1_000_000_000,
      reload: true,
      text: 'Retained messages that are kept. At the limit no further topics get one: v5 clients are refused, for others the message is delivered only.',
    }),
    retainedMaxBytes: size({
      default: '16GiB',
      min: '0B',
      max: '1024TiB',
      reload: true,
      text: 'Bytes of retained messages that are kept, with the same consequence.',
    }),
    retainedMaxPayload: size({
      default: '256MiB',
      min: '1B',
      max: '256MiB',
      reload: true,
      text: 'Largest payload that may be retained, with the same consequence.',
    }),
    connectTimeout: duration({
      default: '15s',
      min: '100ms',
      max: '10m',
      reload: true,
      text: 'Time from the connection to a complete CONNECT packet.',
    }),
    writeQueueBytes: size({
      default: '8MiB',
      min: '64KiB',
      max: '1GiB',
      reload: true,
      text: 'Output queued for one connection beyond which QoS 0 messages to it are dropped.',
    }),
    subscriptionsMax: integer({ default: 1000, min: 1, max: 1_000_000, reload: true, text: 'Subscriptions of one session.' }),
    connectionsMax: integer({ default: 100_000, min: 1, max: 10_000_000, text: 'Connections of this node.' }),
    ...SHARED,
    exclusiveAvailable: boolean({
      default: true,
      reload: true,
      text: 'Whether $exclusive/FILTER may be subscribed to: a filter that only one session at a time can have in this way.',
    }),
    delayedMax: duration({
      default: '30d',
      min: '0s',
      max: '4294967s',
      reload: true,
      text: 'Longest delay of a message to $delayed/SECONDS/TOPIC, which is published to TOPIC when the seconds have passed.',
    }),
    delayedMessagesMax: integer({
      default: 100_000,
      min: 0,
      max: 10_000_000,
      reload: true,
      text: 'Messages that may wait for their time; more are refused. Each costs about 200 bytes of memory, and its size on disk.',
    }),
    ...MQTT_OPERATION,
    rewrite: REWRITE,
    autoSubscribe: AUTO_SUBSCRIBE,
  }),
  limits: LIMITS,
  tls: TLS,
  listener: LISTENERS,
  mqttOfflineMessage: section('Messages for sessions whose client is away.', {
    enable: boolean({
      default: true,
      text: 'Store QoS 1 and 2 messages durably. Without it, messages that nobody online has subscribed to are dropped.',
    }),
    storeQos0: boolean({ default: false, text: 'Store QoS 0 messages too.' }),
    maxAge: duration({
      default: 'never',
      min: '1s',
      max: '36500d',
      never: true,
      reload: true,
      text: 'A client that comes back does not get what was published longer ago than this while it was away; "never" for no limit.',
    }),
    maxMessages: integer({
      default: 0,
      min: 0,
      max: 1_000_000,
      reload: true,
      text: 'A client that comes back gets the newest messages, at most so many, of those published while it was away; 0 for no limit.',
    }),
  }),
  topic: tables(
    'Storage of some topics. The first table in the file whose filter matches a topic decides alone; what it leaves out is as for all topics.',
    {
      filter: text({
        example: 'sensors/+/raw',
        pattern: { test: isValidFilter },
        expected: 'a topic filter: "+" and "#" alone in their level, "#" in the last',
        text: 'Topics that the table is for.',
      }),
      storage: optional(
        choice({
          example: 'memory',
          values: ['rocksdb', 'segment', 'memory'],
          text: 'Where its stored messages are kept, as engine.default_storage.',
        }),
      ),
      model: optional(
        choice({
          example: 'independent',
          values: ['shared', 'independent'],
          text: 'Whether each of the topics has a log of its own, as engine.default_model.',
        }),
      ),
      offline: optional(
        boolean({
          example: false,
          text: 'Whether QoS 1 and 2 messages are stored for those who are away, as mqtt_offline_message.enable.',
        }),
      ),
      storeQos0: optional(boolean({ example: false, text: 'Whether QoS 0 messages are stored too, for subscriptions with QoS 1 and 2.' })),
      messageExpiry: optional(
        duration({
          example: '1d',
          min: '1s',
          max: '36500d',
          text: 'Lifetime of its messages that name none, and bound of those that do.',
        }),
      ),
      maxAge: optional(
        duration({
          example: '1h',
          min: '1s',
          max: '36500d',
          text: 'Age at which its messages are not given to clients that come back, besides mqtt_offline_message.max_age. Stored ones are deleted; of "segment" their bytes return with their file.',
        }),
      ),
      maxBytes: optional(
        size({
          example: '16MiB',
          min: '1KiB',
          max: '1024TiB',
          text: 'Bytes of stored messages kept of each topic, besides engine.retention; the oldest are deleted. Of "segment" the bytes return with their file.',
        }),
      ),
      maxMessages: optional(
        integer({
          example: 100,
          min: 1,
          max: 1_000_000,
          text: 'The newest messages of each topic that clients that come back get, besides mqtt_offline_message.max_messages.',
        }),
      ),
    },
    { reload: true },
  ),
  security: SECURITY,
})

/** The whole configuration. Durations in milliseconds ("never" is Infinity), sizes in bytes. */
export type Config = ValueOf<typeof SCHEMA>

/** A key with its places: in a file, and in the Config value. */
export interface KeyPlace {
  /** 'mqtt.max_qos'. */
  readonly path: string
  /** 'mqtt', 'maxQos'. */
  readonly names: readonly string[]
  readonly key: Key<unknown>
}

/** The same for a list of tables. */
export interface TablesPlace {
  readonly path: string
  readonly names: readonly string[]
  readonly tables: Tables
}

export const snakeCase = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** The place of a table in a list, counted from 0: 'topic[0]'. */
export const rowPath = (path: string, index: number): string => `${path}[${index}]`

/** All keys of a section and of the sections in it, in the order of the schema. Those of tables are not among them. */
export const keysOf = (parent: Section): readonly KeyPlace[] => placesOf(parent, []).filter((place) => 'key' in place)

/** All lists of tables, likewise. */
export const tablesOf = (parent: Section): readonly TablesPlace[] => placesOf(parent, []).filter((place) => 'tables' in place)

function placesOf(parent: Section, above: readonly string[]): readonly (KeyPlace | TablesPlace)[] {
  return Object.entries(parent.entries).flatMap(([name, entry]): readonly (KeyPlace | TablesPlace)[] => {
    const names = [...above, name]
    const path = names.map(snakeCase).join('.')
    if ('entries' in entry) return placesOf(entry, names)
    return 'columns' in entry ? [{ path, names, tables: entry }] : [{ path, names, key: entry }]
  })
}

/** A Config out of the value of each key and list. Its shape is that of the schema, name by name: that is what Config says. */
export function buildConfig(valueAt: (path: string) => unknown): Config {
  const build = (parent: Section, above: string): Readonly<Record<string, unknown>> =>
    Object.freeze(
      Object.fromEntries(
        Object.entries(parent.entries).map(([name, entry]) => {
          const path = above + snakeCase(name)
          return [name, 'entries' in entry ? build(entry, `${path}.`) : valueAt(path)]
        }),
      ),
    )
  return build(SCHEMA, '') as Config
}
