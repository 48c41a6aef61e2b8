// SPDX-License-Identifier: Apache-2.0
// Gives up waiting for what may still happen.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock } from '#base/port/clock'

/** Settles as the promise does, or rejects with outcomeUnknown after `deadlineMs`. */
export function within<T>(clock: Clock, deadlineMs: number, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(deadlineMs, () => {
      reject(
        new PlatformError(ERROR_CODES.outcomeUnknown, `no answer of the meta group within ${deadlineMs} ms`, { detail: { deadlineMs } }),
      )
    })
    promise.then(
      (value) => {
        timer.cancel()
        resolve(value)
      },
      (error: unknown) => {
        timer.cancel()
        reject(error)
      },
    )
  })
}
