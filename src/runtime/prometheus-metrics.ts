// SPDX-License-Identifier: Apache-2.0
// Metrics for Prometheus on prom-client, the only file that knows it. Counters are plain numbers that are copied at each exposition,
// so that counting costs an addition; the library's own counter costs fifty times that.
import * as prometheus from 'prom-client'
import { assert } from '#base/assert'
import type { Counter, Histogram, Metrics } from '#base/port/metrics'

type Labels = Readonly<Record<string, string>>

const NO_LABELS: Labels = Object.freeze({})

/** What is read at an exposition. */
interface Source {
  readonly labels: Labels
  read(): number
}

/** All label combinations of one name. */
interface Family {
  readonly sources: Source[]
  readonly labelNames: string
}

export class PrometheusMetrics implements Metrics {
  readonly #registry = new prometheus.Registry()
  readonly #families = new Map<string, Family>()
  readonly #histograms = new Map<string, prometheus.Histogram>()

  /** Includes the metrics of the process itself: memory, CPU, loop lag, garbage collection. */
  constructor() {
    prometheus.collectDefaultMetrics({ register: this.#registry })
  }

  counter(name: string, help: string, labels: Labels = NO_LABELS): Counter {
    const tally = new Tally(labels)
    this.#family('counter', name, help, labels).push(tally)
    return tally
  }

  gauge(name: string, help: string, read: () => number, labels: Labels = NO_LABELS): void {
    this.#family('gauge', name, help, labels).push({ labels, read })
  }

  histogram(name: string, help: string, buckets: readonly number[], labels: Labels = NO_LABELS): Histogram {
    let histogram = this.#histograms.get(name)
    if (histogram === undefined) {
      histogram = new prometheus.Histogram({
        name,
        help,
        buckets: [...buckets],
        labelNames: Object.keys(labels),
        registers: [this.#registry],
      })
      this.#histograms.set(name, histogram)
    }
    return histogram.labels(labels)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** The text that a scrape gets. */
  exposition(): Promise<string> {
    return this.#registry.metrics()
  }

  #family(kind: 'counter' | 'gauge', name: string, help: string, labels: Labels): Source[] {
    const labelNames = Object.keys(labels)
    let family = this.#families.get(name)
    if (family === undefined) {
      const sources: Source[] = []
      const shape = { name, help, labelNames, registers: [this.#registry] }
      if (kind === 'counter') new prometheus.Counter({ ...shape, collect: collectCounters(sources) })
      else new prometheus.Gauge({ ...shape, collect: collectGauges(sources) })
      family = { sources, labelNames: labelNames.join() }
      this.#families.set(name, family)
    }
    assert(family.labelNames === labelNames.join(), `all instruments of ${name} have the same label names`)
    assert(!family.sources.some((source) => sameLabels(source.labels, labels)), `${name} with these labels is declared once`)
    return family.sources
  }
}

class Tally implements Counter, Source {
  readonly labels: Labels
  #count = 0

  constructor(labels: Labels) {
    this.labels = labels
  }

  add(count: number): void {
    this.#count += count
  }

  read(): number {
    return this.#count
  }
}

function collectCounters(sources: readonly Source[]): prometheus.CollectFunction<prometheus.Counter> {
  return function (this: prometheus.Counter): void {
    this.reset()
    for (const source of sources) this.inc(source.labels, source.read())
  }
}

function collectGauges(sources: readonly Source[]): prometheus.CollectFunction<prometheus.Gauge> {
  return function (this: prometheus.Gauge): void {
    for (const source of sources) this.set(source.labels, source.read())
  }
}

const sameLabels = (one: Labels, other: Labels): boolean => Object.keys(one).every((name) => one[name] === other[name])
