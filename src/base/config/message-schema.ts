// SPDX-License-Identifier: Apache-2.0
// [[mqtt.rewrite]] and [[mqtt.auto_subscribe]]: what is done to topics and for clients without their asking.
import { LinearRegex } from '../linear-regex.ts'
import { isValidFilter } from '../topic-filter.ts'
import { boolean, choice, integer, optional, tables, text } from './key.ts'

const TEMPLATE = /^[^\0]{1,1024}$/

export const REWRITE = tables(
  'Other topics and filters in place of those that clients name, before anything else is done with them. The first table that fits decides.',
  {
    action: choice({
      example: 'all',
      values: ['publish', 'subscribe', 'all'],
      text: 'Where it applies: to the topic of a message and of a will, to the filter of a subscription and of its end, or to both.',
    }),
    filter: text({
      example: 'old/#',
      pattern: { test: isValidFilter },
      expected: 'a topic filter: "+" and "#" alone in their level, "#" in the last',
      text: 'Which topics. The filter of a subscription is compared as if it were a topic.',
    }),
    regex: text({
      example: '^old/([^/]+)/(.+)$',
      pattern: { test: (pattern) => pattern.length <= 1024 && LinearRegex.compile(pattern) !== undefined },
      expected:
        'a regular expression of at most 1024 characters without look-around and references to groups, and with nothing repeated that can be empty',
      text: 'Which of these; a table whose regex finds nothing does not fit. Topics and filters of more than 1024 characters are refused.',
    }),
    to: text({
      example: 'new/%c/$2/$1',
      pattern: TEMPLATE,
      expected: 'a topic or filter of 1 to 1024 characters',
      text: 'The whole new topic. $1 to $9 are what the groups of the regex matched, %c is the client id, %u the user name. What is no valid topic is refused.',
    }),
  },
  { reload: true },
)

export const AUTO_SUBSCRIBE = tables(
  'Subscriptions that every client gets when it connects, as if it had asked for them; they are part of its session.',
  {
    filter: text({
      example: 'inbox/%c/#',
      pattern: { test: (filter) => TEMPLATE.test(filter) && isValidFilter(filter) },
      expected: 'a topic filter of at most 1024 characters: "+" and "#" alone in their level, "#" in the last',
      text: 'Filter. %c is the client id, %u the user name; a client without what is named does not get the subscription.',
    }),
    qos: integer({ example: 1, min: 0, max: 2, text: 'Highest QoS of the messages.' }),
    noLocal: optional(boolean({ example: false, text: 'Leave out what the client publishes itself. Default: false.' })),
    retainAsPublished: optional(boolean({ example: false, text: 'Keep the RETAIN flag of messages. Default: false.' })),
    retainHandling: optional(
      integer({
        example: 0,
        min: 0,
        max: 2,
        text: 'Retained messages: 0 sends them, 1 only to a new subscription, 2 does not. Default: 0.',
      }),
    ),
  },
  { reload: true },
)
