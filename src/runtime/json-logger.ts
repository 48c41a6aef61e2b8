// SPDX-License-Identifier: Apache-2.0
// Log lines on a stream: for each one JSON object, or one line of text.
import type { Clock } from '#base/port/clock'
import type { LogFields, Logger, LogLevel } from '#base/port/logger'

export interface LoggerOptions {
  /** Lines below it are dropped. */
  readonly level: LogLevel
  readonly format: 'json' | 'text'
}

/** Where lines go, and how they look. Shared by a logger and its scopes. */
interface Sink {
  readonly clock: Clock
  readonly write: (line: string) => void
  severityMin: number
  readonly format: (line: Line) => string
}

interface Line {
  /** RFC 3339, UTC, milliseconds. */
  readonly time: string
  readonly level: LogLevel
  readonly scope: string
  readonly message: string
  readonly fields: LogFields
}

const SEVERITY: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 }
const NO_FIELDS: LogFields = Object.freeze({})

export class JsonLogger implements Logger {
  readonly #sink: Sink
  readonly #scope: string

  private constructor(sink: Sink, scope: string) {
    this.#sink = sink
    this.#scope = scope
  }

  /** `write` is given whole lines, newline included. */
  static open(clock: Clock, write: (line: string) => void, options: LoggerOptions): JsonLogger {
    const format = options.format === 'json' ? formatJson : formatText
    return new JsonLogger({ clock, write, severityMin: SEVERITY[options.level], format }, '')
  }

  log(level: LogLevel, message: string, fields: LogFields = NO_FIELDS): void {
    const { clock, write, severityMin, format } = this.#sink
    if (SEVERITY[level] < severityMin) return
    const time = new Date(clock.realtime()).toISOString()
    write(`${format({ time, level, scope: this.#scope, message, fields })}\n`)
  }

  /** For this logger and all scopes of the same stream. */
  setLevel(level: LogLevel): void {
    this.#sink.severityMin = SEVERITY[level]
  }

  scope(name: string): Logger {
    return new JsonLogger(this.#sink, this.#scope === '' ? name : `${this.#scope}.${name}`)
  }
}

/** Fields come under a key of their own: what a caller names a field cannot hide the line's own keys. */
function formatJson({ time, level, scope, message, fields }: Line): string {
  return JSON.stringify({ time, level, scope, message, ...(fields === NO_FIELDS ? undefined : { fields }) })
}

function formatText({ time, level, scope, message, fields }: Line): string {
  let line = `${time} ${level.padEnd(5)} ${scope === '' ? '' : `${scope}: `}${oneLine(message)}`
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) line += ` ${name}=${formatValue(value)}`
  return line
}

/** Quoted unless it is a plain word, so that what clients send cannot fake a field or a line. */
const formatValue = (value: string | number | boolean): string =>
  typeof value !== 'string' || /^[\w.:/@-]+$/.test(value) ? String(value) : JSON.stringify(value)

const oneLine = (message: string): string => message.replaceAll(/[\r\n]+/g, ' | ')
