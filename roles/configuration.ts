// SPDX-License-Identifier: Apache-2.0
// Reads the configuration from where the command line says it is. At the start, and again at each reload.
import { parse, TomlError } from 'smol-toml'
import { type LoadedConfig, loadConfig } from '#base/config/load'
import { formatProblem } from '#base/config/problem'
import { messageOf } from '#base/error'
import type { ConfigOptions } from './arguments.ts'

export type ConfigReading =
  | ({ readonly kind: 'loaded' } & LoadedConfig)
  /** All that is wrong, a line for each. */
  | { readonly kind: 'refused'; readonly problems: readonly string[] }

export interface ConfigSources {
  readonly environment: Readonly<Record<string, string | undefined>>
  readFile(name: string): string
}

export function readConfig({ file: name, settings }: ConfigOptions, { environment, readFile }: ConfigSources): ConfigReading {
  let text = ''
  let table: Readonly<Record<string, unknown>> = {}
  try {
    if (name !== undefined) {
      text = readFile(name)
      table = parse(text)
    }
  } catch (error) {
    const place = error instanceof TomlError ? `${name}:${error.line}:${error.column}` : `cannot read ${name}`
    return { kind: 'refused', problems: [`${place}: ${messageOf(error).split('\n', 1)[0]}`] }
  }
  const outcome = loadConfig({ file: name === undefined ? undefined : { name, text, table }, environment, settings })
  return outcome.kind === 'loaded' ? outcome : { kind: 'refused', problems: outcome.problems.map(formatProblem) }
}
