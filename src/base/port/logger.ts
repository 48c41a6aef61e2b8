// SPDX-License-Identifier: Apache-2.0
// Structured log lines.

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>

export interface Logger {
  log(level: LogLevel, message: string, fields?: LogFields): void
  /** A logger whose lines carry the scope, e.g. 'broker'. */
  scope(name: string): Logger
}
