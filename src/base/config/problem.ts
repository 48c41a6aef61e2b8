// SPDX-License-Identifier: Apache-2.0
// What is wrong with a configuration, told so that the reader can put it right.

/** Where a value comes from. */
export type Source =
  | { readonly kind: 'default' }
  | { readonly kind: 'file'; readonly file: string; readonly line: number | undefined }
  | { readonly kind: 'environment'; readonly variable: string }
  | { readonly kind: 'argument' }
  /** Kept by the cluster under this name. */
  | { readonly kind: 'stored'; readonly name: string }

/** A rule between keys that does not hold; `path` is the key to change. */
export interface Conflict {
  readonly path: string
  readonly expected: string
}

export interface ConfigProblem {
  /** 'mqtt.max_qos'. */
  readonly path: string
  /** As it was written, for the reader; undefined for a key that is missing. */
  readonly value: string | undefined
  /** Completes 'expected …'; undefined when the key itself is unknown. */
  readonly expected: string | undefined
  /** For an unknown key, the known one that was most likely meant. */
  readonly nearest: string | undefined
  readonly source: Source
}

/** 'config.toml:12', 'ROBUSTMQ_MQTT__MAX_QOS', '--set', "topic settings 'raw'", 'default'. */
export function formatSource(source: Source): string {
  switch (source.kind) {
    case 'default':
      return 'default'
    case 'file':
      return source.line === undefined ? source.file : `${source.file}:${source.line}`
    case 'environment':
      return source.variable
    case 'argument':
      return '--set'
    case 'stored':
      return `topic settings '${source.name}'`
  }
}

/** One line: where, which key, which value, what was expected. */
export function formatProblem({ path, value, expected, nearest, source }: ConfigProblem): string {
  const place = `${formatSource(source)}: ${path}${value === undefined ? ' is missing' : ` = ${value}`}`
  if (expected !== undefined) return `${place}: expected ${expected}`
  return nearest === undefined ? `${place}: there is no such key` : `${place}: there is no such key, did you mean ${nearest}?`
}

const VALUE_CHARACTERS_MAX = 80

/** A value as the reader would write it. */
export function showValue(value: unknown): string {
  const shown =
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date) ? '{…}' : JSON.stringify(value)
  return shown.length <= VALUE_CHARACTERS_MAX ? shown : `${shown.slice(0, VALUE_CHARACTERS_MAX)}…`
}
