// SPDX-License-Identifier: Apache-2.0
// Failures on their way between nodes: the status that gRPC knows, and beside it the number of our own code, by which the other side
// makes the same failure again.
import { status as GRPC, Metadata, type StatusObject } from '@grpc/grpc-js'
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES, type ErrorCode } from '#base/error-code'

/** The one table of codes and statuses. */
const STATUS: Readonly<Record<keyof typeof ERROR_CODES, GRPC>> = Object.freeze({
  internal: GRPC.INTERNAL,
  configInvalid: GRPC.FAILED_PRECONDITION,
  addressInUse: GRPC.UNAVAILABLE,
  stopping: GRPC.UNAVAILABLE,
  notReady: GRPC.UNAVAILABLE,
  diskFull: GRPC.RESOURCE_EXHAUSTED,
  diskFailed: GRPC.INTERNAL,
  dataDamaged: GRPC.DATA_LOSS,
  dataLocked: GRPC.FAILED_PRECONDITION,
  dataVersion: GRPC.UNIMPLEMENTED,
  notLeader: GRPC.FAILED_PRECONDITION,
  proposalDropped: GRPC.RESOURCE_EXHAUSTED,
  outcomeUnknown: GRPC.UNKNOWN,
  unreachable: GRPC.UNAVAILABLE,
  refusedByPeer: GRPC.PERMISSION_DENIED,
  conflict: GRPC.ABORTED,
  notFound: GRPC.NOT_FOUND,
  fenced: GRPC.ABORTED,
  invalid: GRPC.INVALID_ARGUMENT,
  tooLarge: GRPC.INVALID_ARGUMENT,
  quotaExceeded: GRPC.RESOURCE_EXHAUSTED,
  sessionExpired: GRPC.NOT_FOUND,
  offsetOutOfRange: GRPC.OUT_OF_RANGE,
})

const STATUS_OF: ReadonlyMap<ErrorCode, GRPC> = new Map(
  (Object.keys(STATUS) as (keyof typeof ERROR_CODES)[]).map((name) => [ERROR_CODES[name], STATUS[name]]),
)
const CODE_OF_NUMBER: ReadonlyMap<string, ErrorCode> = new Map(Object.values(ERROR_CODES).map((code) => [String(code.number), code]))

const CODE_KEY = 'robustmq-code'
/** Who was refused, and why in one word. */
const NODE_KEY = 'robustmq-node'
const REASON_KEY = 'robustmq-reason'
/** Headers are bounded, and the words of an error are not. */
const DETAILS_CHARACTERS_MAX = 1024

/** What ends a call of the server. It is an Error because a stream takes its end as one. */
export class CallFailure extends Error {
  override readonly name = 'CallFailure'
  readonly code: GRPC
  readonly details: string
  readonly metadata = new Metadata()

  /** What is thrown and is no PlatformError is a bug of the service: its words stay on this side. */
  constructor(cause: unknown) {
    const failure = isPlatformError(cause) ? cause : new PlatformError(ERROR_CODES.internal, 'the other node failed; its log says how')
    super(failure.message, { cause })
    this.code = STATUS_OF.get(failure.code) ?? GRPC.INTERNAL
    // The other half of a pair that was cut apart cannot be encoded.
    this.details = failure.message.slice(0, DETAILS_CHARACTERS_MAX).replace(/\p{Surrogate}/gu, '?')
    this.metadata.set(CODE_KEY, String(failure.code.number))
    if (failure.code !== ERROR_CODES.refusedByPeer) return
    const { reason, node } = failure.detail
    this.metadata.set(REASON_KEY, String(reason))
    this.metadata.set(NODE_KEY, String(node))
  }
}

/** The failure that a server has named; undefined when the status comes from gRPC or the network, not from a service. */
export function failureOf({ metadata, details }: StatusObject): PlatformError | undefined {
  const code = CODE_OF_NUMBER.get(String(metadata.get(CODE_KEY)[0] ?? ''))
  if (code === undefined) return undefined
  const [reason] = metadata.get(REASON_KEY)
  return new PlatformError(
    code,
    details,
    reason === undefined ? {} : { detail: { reason: String(reason), node: Number(metadata.get(NODE_KEY)[0]) } },
  )
}

/** The connection is not, or no longer, that of a peer which was taken in: nothing was done. */
export const isUnauthenticated = ({ code }: StatusObject): boolean => code === GRPC.UNAUTHENTICATED

export const unauthenticated = (): { readonly code: GRPC; readonly details: string } => ({
  code: GRPC.UNAUTHENTICATED,
  details: 'this connection has not been taken in',
})
