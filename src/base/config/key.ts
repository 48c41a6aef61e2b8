// SPDX-License-Identifier: Apache-2.0
// The kinds of configuration keys: what each accepts, and how its values are written.
import { formatDuration, parseDuration } from './duration.ts'
import { formatSize, parseSize } from './size.ts'

export interface Key<T> {
  /** What the key does, in one line. */
  readonly text: string
  readonly default: T
  /** What is accepted; completes 'expected …'. */
  readonly expected: string
  /** A setting that must be made knowingly: its default does not count where a rule asks for it, and config.toml shows it commented out. */
  readonly deliberate: boolean
  /** Takes a value of TOML; undefined when it is not accepted. */
  parse(value: unknown): T | undefined
  /** Takes text from the environment or the command line, without the quotes of TOML. */
  parseText(text: string): T | undefined
  /** Writes a value as TOML. */
  format(value: T): string
}

export interface Section<E extends Entries = Entries> {
  readonly text: string
  readonly entries: E
}

/** By name in camelCase; files, environment and messages use snake_case. */
export interface Entries {
  readonly [name: string]: Key<unknown> | Section
}

export type ValueOf<E> = E extends Key<infer T> ? T : E extends Section<infer F> ? { readonly [N in keyof F]: ValueOf<F[N]> } : never

export const section = <const E extends Entries>(text: string, entries: E): Section<E> => ({ text, entries })

interface TextOptions {
  readonly default: string
  readonly text: string
  readonly pattern: RegExp
  /** The pattern in words. */
  readonly expected: string
}

export function text(options: TextOptions): Key<string> {
  const parseText = (value: string): string | undefined => (options.pattern.test(value) ? value : undefined)
  return {
    text: options.text,
    default: options.default,
    expected: options.expected,
    deliberate: false,
    parse: (value) => (typeof value === 'string' ? parseText(value) : undefined),
    parseText,
    format: (value) => JSON.stringify(value),
  }
}

interface IntegerOptions {
  readonly default: number
  readonly min: number
  readonly max: number
  readonly text: string
}

export function integer({ default: fallback, min, max, text: line }: IntegerOptions): Key<number> {
  const parse = (value: unknown): number | undefined =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max ? value : undefined
  return {
    text: line,
    default: fallback,
    expected: `an integer from ${min} to ${max}`,
    deliberate: false,
    parse,
    parseText: (value) => (/^-?\d{1,16}$/.test(value) ? parse(Number(value)) : undefined),
    format: String,
  }
}

interface BooleanOptions {
  readonly default: boolean
  readonly text: string
  readonly deliberate?: boolean
}

export function boolean({ default: fallback, text: line, deliberate = false }: BooleanOptions): Key<boolean> {
  return {
    text: line,
    default: fallback,
    expected: 'true or false',
    deliberate,
    parse: (value) => (typeof value === 'boolean' ? value : undefined),
    parseText: (value) => (value === 'true' ? true : value === 'false' ? false : undefined),
    format: String,
  }
}

interface DurationOptions {
  readonly default: string
  readonly min: string
  readonly max: string
  readonly text: string
  /** Also accepts "never", which is Infinity. */
  readonly never?: boolean
}

/** In milliseconds. */
export function duration(options: DurationOptions): Key<number> {
  const { min, max, never = false } = options
  const minMs = parseDuration(min) ?? 0
  const maxMs = parseDuration(max) ?? Number.MAX_SAFE_INTEGER
  const parseText = (value: string): number | undefined => {
    if (never && value === 'never') return Number.POSITIVE_INFINITY
    const durationMs = parseDuration(value)
    return durationMs !== undefined && durationMs >= minMs && durationMs <= maxMs ? durationMs : undefined
  }
  return {
    text: options.text,
    default: options.default === 'never' ? Number.POSITIVE_INFINITY : (parseDuration(options.default) ?? minMs),
    expected: `a duration from "${min}" to "${max}" (units ms, s, m, h, d)${never ? ', or "never"' : ''}`,
    deliberate: false,
    parse: (value) => (typeof value === 'string' ? parseText(value) : undefined),
    parseText,
    format: (value) => (value === Number.POSITIVE_INFINITY ? '"never"' : `"${formatDuration(value)}"`),
  }
}

interface SizeOptions {
  readonly default: string
  readonly min: string
  readonly max: string
  readonly text: string
}

/** In bytes. */
export function size({ default: fallback, min, max, text: line }: SizeOptions): Key<number> {
  const minBytes = parseSize(min) ?? 0
  const maxBytes = parseSize(max) ?? Number.MAX_SAFE_INTEGER
  const parseText = (value: string): number | undefined => {
    const bytes = parseSize(value)
    return bytes !== undefined && bytes >= minBytes && bytes <= maxBytes ? bytes : undefined
  }
  return {
    text: line,
    default: parseSize(fallback) ?? minBytes,
    expected: `a size from "${min}" to "${max}" (units KiB, MiB, GiB, TiB), or a count of bytes`,
    deliberate: false,
    parse: (value) => (typeof value === 'string' || typeof value === 'number' ? parseText(String(value)) : undefined),
    parseText,
    format: (value) => `"${formatSize(value)}"`,
  }
}

interface ChoiceOptions<T extends string> {
  readonly default: NoInfer<T>
  readonly values: readonly T[]
  readonly text: string
}

export function choice<const T extends string>({ default: fallback, values, text: line }: ChoiceOptions<T>): Key<T> {
  const parse = (value: unknown): T | undefined => values.find((known) => known === value)
  return {
    text: line,
    default: fallback,
    expected: `one of ${values.map((value) => `"${value}"`).join(', ')}`,
    deliberate: false,
    parse,
    parseText: parse,
    format: (value) => `"${value}"`,
  }
}

interface ListOptions<T extends string> {
  readonly default: readonly NoInfer<T>[]
  readonly values: readonly T[]
  readonly text: string
}

/** Distinct members of a closed set, at least one, in the order of the set. */
export function list<const T extends string>({ default: fallback, values, text: line }: ListOptions<T>): Key<readonly T[]> {
  const parse = (value: unknown): readonly T[] | undefined => {
    if (!Array.isArray(value) || value.length === 0 || new Set(value).size < value.length) return undefined
    const members = values.filter((known) => value.includes(known))
    return members.length === value.length ? members : undefined
  }
  return {
    text: line,
    default: fallback,
    expected: `a list of different names out of ${values.map((value) => `"${value}"`).join(', ')}`,
    deliberate: false,
    parse,
    parseText: (value) => parse(value.split(',').map((name) => name.trim())),
    format: (value) => `[${value.map((name) => `"${name}"`).join(', ')}]`,
  }
}
