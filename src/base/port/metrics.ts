// SPDX-License-Identifier: Apache-2.0
// Counters and gauges. Instruments are created once and held: nothing is looked up per message.

export interface Counter {
  add(count: number): void
}

export interface Histogram {
  observe(value: number): void
}

/** Label names are fixed at creation and their values come from closed sets, so that cardinality is bounded. */
export interface Metrics {
  counter(name: string, help: string, labels?: Readonly<Record<string, string>>): Counter
  /** `read` is called at each exposition. */
  gauge(name: string, help: string, read: () => number, labels?: Readonly<Record<string, string>>): void
  /** `buckets` are upper bounds, ascending, in the unit the name ends in. */
  histogram(name: string, help: string, buckets: readonly number[], labels?: Readonly<Record<string, string>>): Histogram
}
