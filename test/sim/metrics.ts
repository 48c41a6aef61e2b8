// SPDX-License-Identifier: Apache-2.0
// Metrics that a test or a checker can read back.
import type { Counter, Histogram, Metrics } from '#base/port/metrics'

export class SimMetrics implements Metrics {
  readonly #counts = new Map<string, number>()
  readonly #gauges = new Map<string, () => number>()

  counter(name: string, _help: string, labels?: Readonly<Record<string, string>>): Counter {
    const key = keyOf(name, labels)
    return { add: (count) => this.#add(key, count) }
  }

  gauge(name: string, _help: string, read: () => number, labels?: Readonly<Record<string, string>>): void {
    this.#gauges.set(keyOf(name, labels), read)
  }

  /** Counts observations; their distribution is nobody's concern here. */
  histogram(name: string, _help: string, _buckets: readonly number[], labels?: Readonly<Record<string, string>>): Histogram {
    const key = keyOf(name, labels)
    return { observe: () => this.#add(key, 1) }
  }

  /** Value of a counter or gauge, 0 when nothing has been counted. */
  value(name: string, labels?: Readonly<Record<string, string>>): number {
    const key = keyOf(name, labels)
    return this.#gauges.get(key)?.() ?? this.#counts.get(key) ?? 0
  }

  #add(key: string, count: number): void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + count)
  }
}

function keyOf(name: string, labels: Readonly<Record<string, string>> = {}): string {
  const pairs = Object.keys(labels)
    .sort()
    .map((label) => `${label}=${labels[label]}`)
  return `${name}{${pairs.join(',')}}`
}
