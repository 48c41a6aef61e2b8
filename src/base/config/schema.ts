// SPDX-License-Identifier: Apache-2.0
// Every key of the configuration: the one place that names it, its type, default, range and meaning. config.toml is generated from it.
import { boolean, choice, duration, integer, type Key, list, type Section, section, size, text, type ValueOf } from './key.ts'

const HOST = { pattern: /^[\w.:-]{1,253}$/, expected: 'an IP address or a host name' } as const

export const SCHEMA = section('', {
  clusterName: text({
    default: 'robustmq',
    pattern: /^[a-z0-9][a-z0-9_-]{0,62}$/,
    expected: 'up to 63 lower-case letters, digits, "-" or "_", the first a letter or digit',
    text: 'Name of the cluster, as metrics show it.',
  }),
  nodeId: integer({
    default: 1,
    min: 1,
    max: 65535,
    text: 'Identity of this node: unique in the cluster, and the same for the life of its data.',
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
  httpHost: text({
    default: '127.0.0.1',
    ...HOST,
    text: 'Address of the admin HTTP server: /health/live, /health/ready, /metrics. It asks for no password.',
  }),
  httpPort: integer({ default: 58080, min: 0, max: 65535, text: 'Port of the admin HTTP server; 0 turns it off.' }),
  log: section('Log lines go to standard error.', {
    level: choice({ default: 'info', values: ['debug', 'info', 'warn', 'error'], text: 'The least important lines that are written.' }),
    format: choice({ default: 'text', values: ['text', 'json'], text: 'Text for people, JSON for machines.' }),
  }),
  prometheus: section('Metrics.', {
    enable: boolean({ default: true, text: 'Serve /metrics on the admin HTTP server.' }),
  }),
  meta: section('Cluster coordination: sessions, subscriptions, cursors, retained messages.', {
    offsetGroups: integer({ default: 1, min: 1, max: 64, text: 'Raft groups for cursors. Fixed once the node holds data.' }),
    dataGroups: integer({
      default: 1,
      min: 1,
      max: 64,
      text: 'Raft groups for sessions and retained messages. Fixed once the node holds data.',
    }),
  }),
  engine: section('Storage of messages.', {
    defaultStorage: choice({
      default: 'rocksdb',
      values: ['rocksdb', 'memory'],
      text: 'Where the messages that must be stored are kept: on disk, or in memory, which a restart loses.',
    }),
    stripes: integer({
      default: 4,
      min: 1,
      max: 64,
      text: 'Logs of each storage type over which topics are spread. Fixed once the node holds data.',
    }),
    memoryBytes: size({
      default: '64MiB',
      min: '1MiB',
      max: '64GiB',
      text: 'What the logs in memory keep, all together; older messages are dropped.',
    }),
    tailBytes: size({
      default: '64MiB',
      min: '1MiB',
      max: '64GiB',
      text: 'Recent records kept in memory for consumers that keep up; others read from the log.',
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
    retention: section('How long stored messages are kept; whichever limit is reached first.', {
      maxAge: duration({ default: '7d', min: '1s', max: '36500d', text: 'Older messages are deleted.' }),
      maxBytes: size({
        default: '10GiB',
        min: '1MiB',
        max: '1024TiB',
        text: 'Bytes of messages kept in all logs of the node; the oldest are deleted.',
      }),
    }),
  }),
  mqtt: section('MQTT listeners and limits.', {
    bind: text({
      default: '127.0.0.1',
      ...HOST,
      text: 'Address of the listeners. One that others can reach needs security.allow_anonymous to be set.',
    }),
    tcpPort: integer({ default: 1883, min: 0, max: 65535, text: 'Port for MQTT over TCP; 0 turns it off.' }),
    maxPacketSize: size({ default: '1MiB', min: '1KiB', max: '256MiB', text: 'Largest packet that is accepted; v5 clients are told.' }),
    maxQos: integer({ default: 2, min: 0, max: 2, text: 'Highest QoS; v5 clients are told.' }),
    keepAliveMax: duration({
      default: '65535s',
      min: '1s',
      max: '65535s',
      text: 'Longest keep-alive; v5 clients that ask for more are given this one.',
    }),
    sessionExpiryMax: duration({
      default: 'never',
      min: '1s',
      max: '36500d',
      never: true,
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
      text: 'Unacknowledged messages on their way out to a client; it may ask for fewer.',
    }),
    topicAliasMaximum: integer({ default: 32, min: 0, max: 65535, text: 'Topic aliases that a v5 client may use; 0 for none.' }),
    topicLevelsMax: integer({ default: 128, min: 1, max: 1024, text: 'Levels of a topic or filter.' }),
    clientIdBytesMax: integer({ default: 1024, min: 23, max: 65535, text: 'Bytes of a client id.' }),
    retainAvailable: boolean({ default: true, text: 'Whether messages may be retained; v5 clients are told.' }),
    connectTimeout: duration({ default: '15s', min: '100ms', max: '10m', text: 'Time from the connection to a complete CONNECT packet.' }),
    writeQueueBytes: size({
      default: '8MiB',
      min: '64KiB',
      max: '1GiB',
      text: 'Output queued for one connection beyond which QoS 0 messages to it are dropped.',
    }),
    subscriptionsMax: integer({ default: 1000, min: 1, max: 1_000_000, text: 'Subscriptions of one session.' }),
    connectionsMax: integer({ default: 100_000, min: 1, max: 10_000_000, text: 'Connections of this node.' }),
  }),
  mqttOfflineMessage: section('Messages for sessions whose client is away.', {
    enable: boolean({
      default: true,
      text: 'Store QoS 1 and 2 messages durably. Without it, messages that nobody online has subscribed to are dropped.',
    }),
    storeQos0: boolean({ default: false, text: 'Store QoS 0 messages too.' }),
  }),
  security: section('Who may connect.', {
    allowAnonymous: boolean({
      default: true,
      deliberate: true,
      text: 'Accept clients without credentials. Must be set to true before mqtt.bind may be an address that others can reach.',
    }),
  }),
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

export const snakeCase = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** All keys of a section and of the sections in it, in the order of the schema. */
export function keysOf(parent: Section, above: readonly string[] = []): readonly KeyPlace[] {
  return Object.entries(parent.entries).flatMap(([name, entry]) => {
    const names = [...above, name]
    return 'entries' in entry ? keysOf(entry, names) : [{ path: names.map(snakeCase).join('.'), names, key: entry }]
  })
}
