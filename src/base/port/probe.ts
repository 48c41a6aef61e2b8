// SPDX-License-Identifier: Apache-2.0
// Marks rare paths. No-op in production; the simulator counts them, and may turn a fault on at a named point.

export interface Probe {
  /** This path was reached. */
  reached(name: string): void
  /** Whether the fault of that name happens now. Always false in production. */
  fault(name: string): boolean
}
