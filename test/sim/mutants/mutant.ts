// SPDX-License-Identifier: Apache-2.0
// A bug that is planted on purpose, to know that it would be found (RELIABILITY 3.9): an exact replacement in the compiled program.

/** What is run against it. 'topology': failures that last for ever. */
export type Hunt = 'cluster' | 'topology' | 'mqtt' | 'meta' | 'engine'

export interface Mutant {
  readonly name: string
  /** Ids of RELIABILITY or DESIGN that the bug breaks. */
  readonly rule: string
  /** Below the directory of the compiled program. */
  readonly file: string
  /** Must be there exactly once. */
  readonly from: string
  readonly to: string
  readonly hunt: Hunt
  /** The checkers that may find it first. 'assertion' is one of the product itself. */
  readonly expected: readonly string[]
  /** A seed that is known to find it. The hunt begins there, and goes on when the simulation has changed since. */
  readonly seedFirst: number
  /** Runs in which it must be found. */
  readonly seedsMax: number
}
