// SPDX-License-Identifier: Apache-2.0
// Broken invariants. An assertion that fails is a bug of ours: it stops the process, never the data (RELIABILITY R10).

/** Thrown by a failed assertion. Never caught except at the process boundary, which flushes the log and exits. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}

/** Checks an invariant. `sentence` states what must be true. Stays on in production. */
export function assert(condition: boolean, sentence: string): asserts condition {
  if (!condition) throw new AssertionError(sentence)
}

/** The default branch of an exhaustive switch. */
export function assertNever(value: never): never {
  throw new AssertionError(`no case handles ${JSON.stringify(value)}`)
}

/** The value, which an invariant says is there. */
export function must<T>(value: T | undefined | null, sentence: string): T {
  if (value === undefined || value === null) throw new AssertionError(sentence)
  return value
}
