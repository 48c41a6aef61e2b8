// SPDX-License-Identifier: Apache-2.0
// A snapshot on its way into a group: first the state machine takes it over, then the log is told to begin there. A crash in between begins the
// installation again (R41).
import type { Applier } from '../applier.ts'
import type { Conditions } from '../conditions.ts'
import type { Ready } from '../core/ready.ts'
import type { PeerLink } from './group-peers.ts'

export interface InstallationOptions {
  readonly applier: Applier
  readonly conditions: Conditions
  readonly link: PeerLink
  /** The state is installed: `take` has what is to be written. */
  readonly onInstalled: () => void
  readonly crash: (reason: Error) => void
}

export class Installation {
  readonly #options: InstallationOptions
  /** From when it was given out by the core until its write begins. */
  #ready: Ready | undefined
  #isInstalled = false
  #isClearing = false

  constructor(options: InstallationOptions) {
    this.#options = options
  }

  get isUnderWay(): boolean {
    return this.#ready !== undefined
  }

  /** Another snapshot would get into the way of this one. */
  get isBusy(): boolean {
    return this.isUnderWay || this.#isClearing
  }

  /** `ready` has a snapshot. It is held back until its state is installed. */
  begin(ready: Ready): void {
    const { applier, conditions, link, onInstalled, crash } = this.#options
    this.#ready = ready
    this.#isInstalled = false
    conditions
      .until(() => applier.isIdle)
      .then(async () => {
        applier.suspend()
        await link.install()
        if (applier.isHalted) return
        this.#isInstalled = true
        onInstalled()
      })
      .catch((error: Error) => crash(error))
  }

  /** What is to be written now that the state is installed; undefined before that. */
  take(): Ready | undefined {
    if (!this.#isInstalled) return undefined
    const ready = this.#ready
    this.#ready = undefined
    return ready
  }

  /** State and log are durably those of the snapshot. Not before that does the core know what is to be applied next. */
  done(): void {
    const { applier, conditions, link, crash } = this.#options
    applier.resume()
    this.#isClearing = true
    link
      .installed()
      .then(() => {
        this.#isClearing = false
        conditions.look()
      })
      .catch((error: Error) => crash(error))
  }
}
