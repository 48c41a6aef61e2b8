// SPDX-License-Identifier: Apache-2.0
// The end of a process that failed: the last line, then the store is closed, then the exit.
//
// RocksDB has threads of its own, and when `exit` takes its globals from under one of them the process aborts instead of ending with a code. Closing joins them.
import { isPlatformError } from '#base/error'
import type { Kv } from '#base/port/kv'

/** A store that hangs is the reason to end as often as not, and is not waited for. */
const CLOSE_MS = 500

export interface CrashPathEffects {
  /** Writes a line. */
  readonly say: (line: string) => void
  readonly after: (delayMs: number, fire: () => void) => void
  readonly exit: (code: number) => void
  /** Ends the process from outside: an exit waits for threads, and those of a store that hangs never come back. */
  readonly kill: () => void
}

export class CrashPath {
  readonly #effects: CrashPathEffects
  #store: Pick<Kv, 'close'> | undefined
  #begun = false

  constructor(effects: CrashPathEffects) {
    this.#effects = effects
  }

  /** Whether the last line is written: nothing may come after it. */
  get begun(): boolean {
    return this.#begun
  }

  /** What is closed before the exit from now on. */
  closes(store: Pick<Kv, 'close'>): void {
    this.#store = store
  }

  /**
   * The end for that reason. Harmless when repeated: the first reason is the one that counts. A failure leaves the loop running while the store closes: whoever
   * tells of it has halted already, and what is acknowledged until the exit rests on the log. A bug can't be trusted with another turn, and exits at once.
   */
  crash(reason: unknown, exitCode: number): void {
    this.#end(`fatal: ${lastWords(reason)}`, exitCode, isPlatformError(reason) ? this.#store : undefined)
  }

  /** The same with a line that is not of an error. */
  end(line: string, exitCode: number): void {
    this.#end(line, exitCode, this.#store)
  }

  #end(line: string, exitCode: number, store: Pick<Kv, 'close'> | undefined): void {
    if (this.#begun) return
    this.#begun = true
    const { say, after, exit, kill } = this.#effects
    say(line)
    const leave = (): void => exit(exitCode)
    if (store === undefined) leave()
    else {
      after(CLOSE_MS, kill)
      // How the store closed does not matter any more.
      store.close().then(leave, leave)
    }
  }
}

/** One line. A failure of the catalogue explains itself; of anything else, which is a bug, the stack is worth more than the message. */
export function lastWords(reason: unknown): string {
  if (!(reason instanceof Error)) return `something was thrown that is no error: ${String(reason)}`
  const words = isPlatformError(reason) ? reason.message : (reason.stack ?? reason.message)
  return words.replaceAll(/\s*\n\s*/g, ' | ')
}
