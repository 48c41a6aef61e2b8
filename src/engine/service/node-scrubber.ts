// SPDX-License-Identifier: Apache-2.0
// The scrubber of a node without logs of the engine: its log files and metadata are verified in the background all the same.
import type { Component } from '#base/component'
import type { Config } from '#base/config/schema'
import { type ScrubbedPlaces, Scrubber } from '../log/scrubber.ts'
import { createScrubberMetrics, registerDamageGauges } from './engine-metrics.ts'
import type { UpkeepPorts } from './upkeep.ts'

export class NodeScrubber implements Component {
  readonly name = 'scrubber'
  readonly #scrubber: Scrubber
  #bytesPerSecond: number

  /** `bytesPerSecond`: 0 for not at all. */
  constructor(ports: UpkeepPorts, places: ScrubbedPlaces, bytesPerSecond: number) {
    this.#scrubber = new Scrubber(places, { ...ports, logger: ports.logger.scope(this.name) }, createScrubberMetrics(ports.metrics))
    this.#bytesPerSecond = bytesPerSecond
    registerDamageGauges(ports.metrics, { ranges: () => 0, places: () => this.#scrubber.damagedPlaces.length, blocked: () => 0 })
  }

  async start(): Promise<void> {
    this.#scrubber.start(this.#bytesPerSecond)
  }

  stop(): Promise<void> {
    return this.#scrubber.stop()
  }

  reload({ engine }: Config): void {
    this.#bytesPerSecond = engine.scrubRate
    this.#scrubber.setRate(engine.scrubRate)
  }

  warnings(): readonly string[] {
    return this.#scrubber.damagedPlaces
  }
}
