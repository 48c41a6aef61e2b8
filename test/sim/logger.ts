// SPDX-License-Identifier: Apache-2.0
// Keeps the last log lines of all nodes for the report of a failure. Text is built only when somebody reads it.
import type { LogFields, Logger, LogLevel } from '#base/port/logger'
import type { Life } from './life.ts'
import type { World } from './world.ts'

const LINES_MAX = 300

interface Line {
  readonly timeMs: number
  readonly node: number
  readonly incarnation: number
  readonly level: LogLevel
  readonly scope: string
  readonly message: string
  readonly fields: LogFields | undefined
}

export class LogCollector {
  readonly #world: World
  readonly #lines: Line[] = []

  constructor(world: World) {
    this.#world = world
  }

  forLife(life: Life): Logger {
    return this.#scoped(life, '')
  }

  /** The last lines, oldest first. */
  tail(): readonly string[] {
    return this.#lines.map((line) => {
      const fields = Object.entries(line.fields ?? {}).map(([name, value]) => ` ${name}=${value}`)
      const at = line.timeMs.toFixed(3).padStart(12)
      return `${at} node ${line.node}.${line.incarnation} ${line.level} ${line.scope}: ${line.message}${fields.join('')}`
    })
  }

  #scoped(life: Life, scope: string): Logger {
    return {
      log: (level, message, fields) => {
        if (!life.alive) return
        const { node, incarnation } = life
        this.#lines.push({ timeMs: this.#world.nowMs, node, incarnation, level, scope, message, fields })
        if (this.#lines.length > 2 * LINES_MAX) this.#lines.splice(0, LINES_MAX)
      },
      scope: (name) => this.#scoped(life, scope === '' ? name : `${scope}.${name}`),
    }
  }
}
