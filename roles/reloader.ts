// SPDX-License-Identifier: Apache-2.0
// Reads the configuration again when it is asked to, and hands what may change to the node that runs.
import type { LoadedConfig } from '#base/config/load'
import { formatProblem } from '#base/config/problem'
import { planReload } from '#base/config/reload'
import type { Config } from '#base/config/schema'
import type { Logger } from '#base/port/logger'
import type { ConfigReading } from './configuration.ts'

export interface Reloadable {
  /** What failed, a line for each; what could take the configuration over has done so. */
  reload(config: Config): Promise<readonly string[]>
}

export class Reloader {
  readonly #logger: Logger
  readonly #read: () => ConfigReading
  readonly #target: Reloadable
  #running: LoadedConfig
  #isOpen = false
  #isWanted = false
  #isBusy = false

  /** `running` is what the target was started with. */
  constructor(logger: Logger, read: () => ConfigReading, target: Reloadable, running: LoadedConfig) {
    this.#logger = logger.scope('configuration')
    this.#read = read
    this.#target = target
    this.#running = running
  }

  /** The target runs. What was requested before is done now. */
  open(): void {
    this.#isOpen = true
    this.#proceed()
  }

  /** One reload at a time. A request during one reads once more after it, however many there are: the file may have changed meanwhile. */
  request(): void {
    this.#isWanted = true
    this.#proceed()
  }

  #proceed(): void {
    if (this.#isBusy || !this.#isOpen || !this.#isWanted) return
    this.#isBusy = true
    this.#isWanted = false
    void this.#reload().then(() => {
      this.#isBusy = false
      this.#proceed()
    })
  }

  async #reload(): Promise<void> {
    const next = this.#read()
    if (next.kind === 'refused') return this.#refuse(next.problems)
    const { outcome, applied, deferred, fixed } = planReload(this.#running, next)
    for (const path of deferred) this.#logger.log('warn', `${path} changes with the next start`)
    for (const path of fixed) this.#logger.log('warn', `${path} is fixed: with another value the next start is refused`)
    if (outcome.kind === 'refused') return this.#refuse(outcome.problems.map(formatProblem))
    this.#running = outcome
    // Also when nothing has changed here: the files that keys name may have.
    const problems = await this.#target.reload(outcome.config)
    for (const problem of problems) this.#logger.log('error', 'a part of the node did not take the configuration over', { problem })
    this.#logger.log('info', 'reloaded', { changed: applied.length === 0 ? 'nothing' : applied.join(' ') })
  }

  #refuse(problems: readonly string[]): void {
    for (const problem of problems) this.#logger.log('error', 'not reloaded, the old one stays in force', { problem })
  }
}
