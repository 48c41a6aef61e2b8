// SPDX-License-Identifier: Apache-2.0
// Failures of I/O or of a peer. Expected outcomes are returned as values; bugs are assertions.
import type { ErrorCode, Retry } from './error-code.ts'

export interface PlatformErrorOptions {
  /** What the code alone does not say: ids, sizes, addresses. No secrets. */
  readonly detail?: Readonly<Record<string, string | number | boolean>>
  readonly cause?: unknown
}

/** The one class of failures. Compare by `code`, never by message. */
export class PlatformError extends Error {
  override readonly name = 'PlatformError'
  readonly code: ErrorCode
  readonly detail: Readonly<Record<string, string | number | boolean>>

  /** `message` says what was tried, on which id, and what the reader can do. */
  constructor(code: ErrorCode, message: string, options: PlatformErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.detail = options.detail ?? {}
  }

  get retry(): Retry {
    return this.code.retry
  }
}

export const isPlatformError = (error: unknown, code?: ErrorCode): error is PlatformError =>
  error instanceof PlatformError && (code === undefined || error.code === code)

/** The message of anything that was thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Anything that was thrown, as an error. */
export const errorOf = (error: unknown): Error => (error instanceof Error ? error : new Error(messageOf(error)))
