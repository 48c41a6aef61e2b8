// SPDX-License-Identifier: Apache-2.0
// Keys for those who operate a broker: what it says of itself, and what it does against clients and conditions that would hurt the others.
import { boolean, duration, integer, section, size } from './key.ts'

const event = (text: string) => boolean({ default: false, reload: true, text })

/** Keys of [mqtt]. */
export const MQTT_OPERATION = {
  sysInterval: duration({
    default: '60s',
    min: '0s',
    max: '1d',
    reload: true,
    text: 'How often the values below $SYS/brokers/NODE and $SYS/broker are published, if anyone has subscribed; 0 turns them off.',
  }),
  maxMessageRate: integer({
    default: 0,
    min: 0,
    max: 10_000_000,
    reload: true,
    text: 'Messages a second that one client may publish; its socket is read no faster. 0 turns it off.',
  }),
  maxByteRate: size({
    default: '0',
    min: '0',
    max: '100GiB',
    reload: true,
    text: 'Bytes a second that are read from one client; 0 turns it off.',
  }),
  maxConnectRate: integer({
    default: 1000,
    min: 0,
    max: 1_000_000,
    reload: true,
    text: 'Connections a second that are served; those beyond it wait, for up to 5s. 0 turns it off.',
  }),
  connectionsPerIpMax: integer({
    default: 0,
    min: 0,
    max: 10_000_000,
    reload: true,
    text: 'Connections from one address; 0 turns it off.',
  }),
  subscribeFiltersMax: integer({
    default: 1000,
    min: 1,
    max: 100_000,
    reload: true,
    text: 'Filters of one SUBSCRIBE packet; those after them are refused.',
  }),
  subscriptionsTotalMax: integer({
    default: 1_000_000,
    min: 1,
    max: 100_000_000,
    reload: true,
    text: 'Subscriptions of all connected sessions of this node, without shared ones.',
  }),
  writeStallTimeout: duration({
    default: '60s',
    min: '1s',
    max: '1d',
    reload: true,
    text: 'A client for which more than 1 MiB waits is disconnected when it takes nothing for so long; its session keeps what is stored for it.',
  }),
  slowSubscriptions: section(
    'The slowest subscribers, by the time from publication to acknowledgement: $SYS/brokers/NODE/subscriptions/slow.',
    {
      threshold: duration({ default: '500ms', min: '1ms', max: '1d', reload: true, text: 'Shorter times are not slow.' }),
      countMax: integer({
        default: 10,
        min: 0,
        max: 1000,
        reload: true,
        text: 'Pairs of client and topic that are remembered; 0 turns it off.',
      }),
      expiry: duration({ default: '5m', min: '1s', max: '1d', reload: true, text: 'How long a client that was slow is remembered.' }),
    },
  ),
  events: section('What happens to clients, published as JSON to $SYS/events/KIND.', {
    clientConnected: event('A client was accepted: $SYS/events/client_connected.'),
    clientDisconnected: event('A connection ended, and why: $SYS/events/client_disconnected.'),
    sessionSubscribed: event('A filter was subscribed to: $SYS/events/session_subscribed.'),
    sessionUnsubscribed: event('A filter was unsubscribed from: $SYS/events/session_unsubscribed.'),
    messageDropped: event('A subscriber did not get messages, and why: $SYS/events/message_dropped.'),
    sessionExpired: event('A session ended because its client stayed away: $SYS/events/session_expired.'),
    sessionTakenOver: event('A client connected again before its connection had ended: $SYS/events/session_taken_over.'),
    rateMax: integer({
      default: 100,
      min: 1,
      max: 100_000,
      reload: true,
      text: 'Events of one kind that are published in a second. The next one says how many were left out.',
    }),
  }),
}

/** Section [limits]. */
export const LIMITS = section('Conditions of the node under which publishers are not read; consumers go on. It recovers by itself.', {
  diskFreeMin: size({
    default: '256MiB',
    min: '0',
    max: '1024TiB',
    reload: true,
    text: 'Free bytes on the disk of data_path below which publishers wait; 0 turns it off.',
  }),
  memoryHigh: size({
    default: 'auto',
    min: '0',
    max: '1024TiB',
    auto: true,
    reload: true,
    text: 'Bytes of memory that the process may have before publishers wait; 0 turns it off. "auto": 80% of the machine or container, but no more than the heap may grow to.',
  }),
})

/** Section [security.flapping]. */
export const FLAPPING = section('Clients that connect again and again are kept out for a time.', {
  enable: boolean({ default: false, reload: true, text: 'Whether connections are counted.' }),
  maxConnects: integer({
    default: 15,
    min: 1,
    max: 1_000_000,
    reload: true,
    text: 'Connections of one client id in a window that are not yet too many.',
  }),
  maxConnectsPerIp: integer({
    default: 0,
    min: 0,
    max: 10_000_000,
    reload: true,
    text: 'The same for one address, which many clients may share; 0 turns it off.',
  }),
  window: duration({ default: '1m', min: '1s', max: '1d', reload: true, text: 'The window.' }),
  banTime: duration({
    default: '5m',
    min: '1s',
    max: '30d',
    reload: true,
    text: 'How long a client id or address is kept out: 0x8A, or 5 in 3.x.',
  }),
})
