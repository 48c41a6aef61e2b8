// SPDX-License-Identifier: Apache-2.0
// The keys of [security]: who may connect, and what they may do.
import { parseIpNetwork } from '../ip-network.ts'
import { ITERATIONS_DEFAULT, ITERATIONS_MIN, parseStoredPassword } from '../password.ts'
import { saslprep } from '../saslprep.ts'
import { isValidFilter } from '../topic-filter.ts'
import { boolean, choice, duration, integer, integers, optional, section, tables, text, texts } from './key.ts'
import { FLAPPING } from './operation-schema.ts'

const NAME = {
  pattern: { test: (name: string): boolean => name.length > 0 && name.length <= 1024 && saslprep(name) === name },
  expected: '1 to 1024 characters without control characters, in Unicode form NFKC',
} as const

const EXAMPLE_HASH = 'scrypt$32768$8$1$AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='

const USERS = tables(
  'A user. Its password is given as a hash (robustmq --hash-password writes one) or, with a warning, in plain text.',
  {
    userName: text({ example: 'meter-7', ...NAME, text: 'Name.' }),
    passwordHash: optional(
      text({
        example: EXAMPLE_HASH,
        pattern: { test: (hash) => parseStoredPassword(hash) !== undefined },
        expected:
          'a hash: scrypt$N$r$p$salt$key or SCRAM-SHA-256$iterations:salt$stored-key:server-key (or -512), the last parts in base64',
        secret: true,
        text: 'The hashed password. A client that authenticates by SCRAM needs a hash of its mechanism, or a plain password.',
      }),
    ),
    password: optional(
      text({
        example: 'secret',
        pattern: /^.{1,1024}$/su,
        expected: '1 to 1024 characters',
        secret: true,
        text: 'The password itself. For trying things out: whoever reads the file has it.',
      }),
    ),
    superuser: optional(boolean({ example: false, text: 'Whether no rule of [[security.acl]] concerns it.' })),
  },
  { reload: true },
)

const ACL = tables(
  'A rule. The first in the file that matches decides. Keys left out match everything; the others must all match.',
  {
    permission: choice({ example: 'allow', values: ['allow', 'deny'], text: 'What the rule says.' }),
    action: choice({ example: 'publish', values: ['publish', 'subscribe', 'all'], text: 'What it is about. Wills are published.' }),
    topics: optional(
      texts({
        example: ['meters/%u/#'],
        pattern: { test: isValidFilter },
        expected: 'a topic filter',
        text: 'Topic filters. %u is the user name, %c the client id. A rule that allows needs one that covers all of a subscription, one that denies a topic in common.',
      }),
    ),
    users: optional(texts({ example: ['meter-7'], ...NAME, text: 'User names.' })),
    clientIds: optional(texts({ example: ['line-1'], pattern: /^.{1,1024}$/su, expected: '1 to 1024 characters', text: 'Client ids.' })),
    ip: optional(
      texts({
        example: ['192.0.2.0/24', '2001:db8::/32'],
        pattern: { test: (network) => parseIpNetwork(network) !== undefined },
        expected: 'an IP address, or a network in CIDR notation',
        text: 'Addresses that clients come from.',
      }),
    ),
    qos: optional(integers({ example: [0, 1], min: 0, max: 2, text: 'QoS of the message, or QoS that the subscription asks for.' })),
    retain: optional(boolean({ example: true, text: 'Whether the message is to be retained. Not asked about subscriptions.' })),
  },
  { reload: true },
)

export const SECURITY = section('Who may connect, and what they may do.', {
  allowAnonymous: boolean({
    default: true,
    deliberate: true,
    reload: true,
    text: 'Accept clients without a user name. While there are users: only if it is set. Must be set before others than this machine can reach a listener without users.',
  }),
  aclDefault: choice({
    default: 'allow',
    values: ['allow', 'deny'],
    reload: true,
    text: 'What holds where no rule of [[security.acl]] matches.',
  }),
  deniedPublish: choice({
    default: 'ignore',
    values: ['ignore', 'disconnect'],
    reload: true,
    text: 'What a 3.x client gets that publishes where it may not, since it cannot be told: an acknowledgement and nothing else, or the end of its connection.',
  }),
  loginAttemptsMax: integer({
    default: 5,
    min: 0,
    max: 1000,
    reload: true,
    text: 'Wrong passwords in a row for one user name from one address before further attempts must wait: 1s, then twice as long after each; 0 turns it off.',
  }),
  loginBackoffMax: duration({ default: '5m', min: '1s', max: '1d', reload: true, text: 'The longest wait after wrong passwords.' }),
  scramIterations: integer({
    default: ITERATIONS_DEFAULT,
    min: ITERATIONS_MIN,
    max: 1_000_000,
    reload: true,
    text: 'Iterations of SCRAM for users with plain passwords, and those that an unknown user is told.',
  }),
  passwordQueueMax: integer({
    default: 256,
    min: 1,
    max: 100_000,
    text: 'Passwords that may wait to be checked; clients beyond it are told that the server is busy.',
  }),
  flapping: FLAPPING,
  users: USERS,
  acl: ACL,
})
