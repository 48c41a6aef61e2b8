// SPDX-License-Identifier: Apache-2.0
// The settings of topics that are in force: those that the cluster keeps, then the [[topic]] tables of the file. Hands them to everyone who goes by them, before anything is
// served and whenever either changes.
import type { Component } from '#base/component'
import { formatProblem } from '#base/config/problem'
import type { Config } from '#base/config/schema'
import { readTopicTable, type TopicRow } from '#base/config/topic-table'
import type { Logger } from '#base/port/logger'
import type { TopicEntry, TopicSettingsClient } from '#contract/client/topic-settings-client'

/** Somebody who goes by them. The first table that matches a topic decides alone. */
export type TopicSettingsTarget = (topics: readonly TopicRow[]) => void

export class TopicSettings implements Component {
  readonly name = 'topic settings'
  readonly #client: Pick<TopicSettingsClient, 'follow'>
  readonly #logger: Logger
  readonly #targets: readonly TopicSettingsTarget[]
  #file: Config['topic']
  #kept: readonly TopicRow[] = []
  #refused: readonly string[] = []

  constructor(client: Pick<TopicSettingsClient, 'follow'>, logger: Logger, file: Config['topic'], targets: readonly TopicSettingsTarget[]) {
    this.#client = client
    this.#logger = logger.scope('storage')
    this.#file = file
    this.#targets = targets
  }

  async start(): Promise<void> {
    await this.#client.follow((entries) => this.#take(entries))
  }

  async stop(): Promise<void> {}

  reload({ topic }: Config): void {
    this.#file = topic
    this.#apply()
  }

  /** Kept by a version that has other keys. */
  warnings(): readonly string[] {
    return this.#refused
  }

  #take(entries: readonly TopicEntry[]): void {
    const readings = entries.map(({ name, table }) => readTopicTable(name, table))
    this.#kept = readings.flatMap((reading) => (reading.kind === 'read' ? [reading.row] : []))
    const refused = readings.flatMap((reading) => (reading.kind === 'refused' ? reading.problems.map(formatProblem) : []))
    for (const problem of refused) {
      if (!this.#refused.includes(problem)) this.#logger.log('error', 'topic settings that have no effect', { problem })
    }
    this.#refused = refused
    this.#apply()
  }

  #apply(): void {
    const topics = [...this.#kept, ...this.#file]
    for (const target of this.#targets) target(topics)
  }
}
