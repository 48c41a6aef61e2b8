// SPDX-License-Identifier: Apache-2.0
// Who waits for a group to get somewhere. Few at a time; looked at whenever the group has moved.

interface Watcher {
  readonly isDue: () => boolean
  readonly resolve: () => void
  readonly reject: (reason: Error) => void
}

export class Conditions {
  #watchers: Watcher[] = []

  /** Resolves as soon as it is so, in the turn in which it comes to be. */
  until(isDue: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#watchers.push({ isDue, resolve, reject })
      this.look()
    })
  }

  look(): void {
    if (this.#watchers.length === 0) return
    this.#watchers = this.#watchers.filter((watcher) => {
      if (!watcher.isDue()) return true
      watcher.resolve()
      return false
    })
  }

  /** It will not come to be. */
  fail(reason: Error): void {
    const watchers = this.#watchers
    this.#watchers = []
    for (const watcher of watchers) watcher.reject(reason)
  }
}
