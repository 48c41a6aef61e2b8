// SPDX-License-Identifier: Apache-2.0
// The keys of [mqtt] on shared subscriptions, $share/GROUP/FILTER.
import { boolean, choice, duration, integer } from './key.ts'

export const SHARED = {
  sharedAvailable: boolean({
    default: true,
    reload: true,
    text: 'Whether $share/GROUP/FILTER may be subscribed to: each message goes to one member of the group. v5 clients are told.',
  }),
  sharedPolicy: choice({
    default: 'round_robin',
    values: ['round_robin', 'random', 'sticky', 'hash_client_id', 'hash_topic', 'local_first'],
    reload: true,
    text:
      'Which member of a shared group gets a message: each in turn; any; the same as long as it is there; one by the session of the publisher, or by ' +
      'the topic; or those on this node first, each in turn. A member without room is passed over. For groups that begin after a change.',
  }),
  sharedRedeliveryAfter: duration({
    default: '10s',
    min: '0s',
    max: '20d',
    never: true,
    reload: true,
    text:
      'How long QoS 1 messages of a shared group that were sent to a client wait for it once it is away, before others get them; "never" is until its ' +
      'session ends. QoS 2 messages are never given to another.',
  }),
  sharedPersistent: boolean({
    default: false,
    reload: true,
    text:
      'Keep the place of every shared group over restarts and times without members, as if it had a member with a session that lasts. A group without ' +
      'members is forgotten after engine.retention.max_age, when the room is needed.',
  }),
  sharedGroupsMax: integer({ default: 10_000, min: 1, max: 1_000_000, reload: true, text: 'Shared groups of this node.' }),
} as const
