// SPDX-License-Identifier: Apache-2.0
// The only catalogue of failures. Append only; a retired number stays retired.

/** Whether the same call can succeed when it is made again, and against whom. */
export type Retry = 'never' | 'same' | 'leader' | 'later'

export interface ErrorCode {
  readonly name: string
  readonly number: number
  /** Status of the admin HTTP API. */
  readonly http: number
  readonly retry: Retry
  /** One sentence for the reference page. */
  readonly text: string
}

const code = (name: string, number: number, http: number, retry: Retry, text: string): ErrorCode =>
  Object.freeze({ name, number, http, retry, text })

export const ERROR_CODES = Object.freeze({
  internal: code('internal', 1, 500, 'never', 'A bug of the server.'),
  configInvalid: code('config-invalid', 10, 400, 'never', 'The configuration has a key or value that is not accepted.'),
  addressInUse: code('address-in-use', 11, 500, 'later', 'A listener cannot bind its address.'),
  stopping: code('stopping', 12, 503, 'later', 'The node is stopping.'),
  notReady: code('not-ready', 13, 503, 'later', 'The node is starting and cannot serve yet.'),
  diskFull: code('disk-full', 20, 507, 'later', 'The disk has no room for the write.'),
  diskFailed: code('disk-failed', 21, 500, 'never', 'The disk refused a read, a write or an fsync.'),
  dataDamaged: code('data-damaged', 22, 500, 'never', 'Stored bytes are not what was written.'),
  dataLocked: code('data-locked', 23, 500, 'later', 'Another process holds the data directory.'),
  dataVersion: code('data-version', 24, 500, 'never', 'The data was written by an incompatible version.'),
  notLeader: code('not-leader', 30, 503, 'leader', 'This replica does not lead the group.'),
  proposalDropped: code('proposal-dropped', 31, 503, 'later', 'The group has too much uncommitted work.'),
  outcomeUnknown: code('outcome-unknown', 32, 504, 'same', 'The write may or may not have been committed.'),
  unreachable: code('unreachable', 33, 503, 'later', 'Another node cannot be reached; nothing was sent to it.'),
  refusedByPeer: code('refused-by-peer', 34, 500, 'never', 'Another node does not accept this one, or this one not the other.'),
  conflict: code('conflict', 40, 409, 'never', 'The compare-and-set found another value.'),
  notFound: code('not-found', 41, 404, 'never', 'Nothing is stored under that key.'),
  fenced: code('fenced', 42, 409, 'never', 'The writer has an older epoch than the owner.'),
  invalid: code('invalid', 43, 400, 'never', 'The request is malformed.'),
  tooLarge: code('too-large', 44, 413, 'never', 'The request is over a size limit.'),
  quotaExceeded: code('quota-exceeded', 45, 429, 'later', 'A limit on a count or rate is reached.'),
  sessionExpired: code(
    'session-expired',
    46,
    410,
    'never',
    'The client session has ended: whether an earlier attempt of the write was done is unknown.',
  ),
  offsetOutOfRange: code('offset-out-of-range', 50, 416, 'never', 'The position is not in the log, or no longer.'),
} satisfies Record<string, ErrorCode>)
