// SPDX-License-Identifier: Apache-2.0
// The kinds of configuration keys: what each accepts, and how its values are written.
import { isNodeAddress } from '../address.ts'
import { must } from '../assert.ts'
import { formatDuration, parseDuration } from './duration.ts'
import { formatSize, parseSize } from './size.ts'

/** What is accepted as a value, and how it is written. */
interface Kind<T> {
  /** Completes 'expected …'. */
  readonly expected: string
  /** Its values are shown to nobody: not in messages, not in what is printed. */
  readonly secret?: boolean
  /** Takes a value of TOML; undefined when it is not accepted. */
  parse(value: unknown): T | undefined
  /** Takes text from the environment or the command line, without the quotes of TOML. */
  parseText(text: string): T | undefined
  /** Writes a value as TOML. */
  format(value: T): string
}

export interface Key<T> extends Kind<T> {
  /** What the key does, in one line. */
  readonly text: string
  readonly default: T
  /** A setting that must be made knowingly: its default does not count where a rule asks for it, and config.toml shows it commented out. */
  readonly deliberate: boolean
  /** A change takes effect on SIGHUP; else with the next start. */
  readonly reload: boolean
  /** Recorded with the data at the first start. A later start with another value is refused. */
  readonly fixed: boolean
}

export type Presence = 'required' | 'optional'

/** A key of the tables in a list. It has no default: left out, it is a mistake, or its property is absent when it is optional. */
export interface Column<T, P extends Presence = 'required'> extends Kind<T> {
  /** What the key does, in one line. */
  readonly text: string
  /** What config.toml shows. */
  readonly example: T
  readonly presence: P
}

export interface Section<E extends Entries = Entries> {
  readonly text: string
  readonly entries: E
}

/** A list of tables, [[name]]. Only a file can hold one; its default is the empty list. */
export interface Tables<C extends Columns = Columns> {
  readonly text: string
  readonly columns: C
  /** As of a key. */
  readonly reload: boolean
}

/** By name in camelCase; files, environment and messages use snake_case. */
export interface Entries {
  readonly [name: string]: Key<unknown> | Section | Tables
}

export interface Columns {
  readonly [name: string]: Column<unknown, Presence>
}

export type ValueOf<E> =
  E extends Key<infer T>
    ? T
    : E extends Tables<infer C>
      ? readonly RowOf<C>[]
      : E extends Section<infer F>
        ? { readonly [N in keyof F]: ValueOf<F[N]> }
        : never

type RowOf<C> = {
  readonly [N in keyof C as C[N] extends Column<unknown> ? N : never]: CellOf<C[N]>
} & {
  readonly [N in keyof C as C[N] extends Column<unknown> ? never : N]?: CellOf<C[N]>
}

type CellOf<C> = C extends Column<infer T, Presence> ? T : never

export const section = <const E extends Entries>(text: string, entries: E): Section<E> => ({ text, entries })

export const tables = <const C extends Columns>(
  text: string,
  columns: C,
  { reload = false }: { readonly reload?: boolean } = {},
): Tables<C> => ({
  text,
  columns,
  reload,
})

export const optional = <T>(column: Column<T>): Column<T, 'optional'> => ({ ...column, presence: 'optional' })

/** `V` is a value as TOML writes it. */
interface KeyOptions<V> {
  readonly text: string
  readonly default: V
  readonly deliberate?: boolean
  readonly reload?: boolean
  readonly fixed?: boolean
}

interface ColumnOptions<V> {
  readonly text: string
  readonly example: V
}

/** Each kind makes a key of a section when it is given a default, and a key of a table when it is given an example. */
function entry<T>(options: KeyOptions<unknown> | ColumnOptions<unknown>, kind: Kind<T>): Key<T> | Column<T> {
  const { text } = options
  const accepted = (value: unknown): T => must(kind.parse(value), 'a default or example is a value that its own key accepts')
  if ('example' in options) return { ...kind, text, example: accepted(options.example), presence: 'required' }
  const { deliberate = false, reload = false, fixed = false } = options
  return { ...kind, text, default: accepted(options.default), deliberate, reload, fixed }
}

interface TextRange {
  readonly pattern: { test(text: string): boolean }
  /** The pattern in words. */
  readonly expected: string
  readonly secret?: boolean
}

/** What is shown in place of a secret. */
export const HIDDEN = '"…"'

export function text(options: KeyOptions<string> & TextRange): Key<string>
export function text(options: ColumnOptions<string> & TextRange): Column<string>
export function text(options: (KeyOptions<string> | ColumnOptions<string>) & TextRange): Key<string> | Column<string> {
  const { pattern, expected, secret = false } = options
  const parseText = (value: string): string | undefined => (pattern.test(value) ? value : undefined)
  return entry(options, {
    expected,
    secret,
    parse: (value) => (typeof value === 'string' ? parseText(value) : undefined),
    parseText,
    format: (value) => (secret && value !== '' ? HIDDEN : JSON.stringify(value)),
  })
}

/** Different texts of one pattern, at least one. */
export function texts(options: KeyOptions<readonly string[]> & TextRange): Key<readonly string[]>
export function texts(options: ColumnOptions<readonly string[]> & TextRange): Column<readonly string[]>
export function texts(
  options: (KeyOptions<readonly string[]> | ColumnOptions<readonly string[]>) & TextRange,
): Key<readonly string[]> | Column<readonly string[]> {
  const { pattern, expected } = options
  const isText = (value: unknown): value is string => typeof value === 'string' && pattern.test(value)
  const parse = (value: unknown): readonly string[] | undefined =>
    Array.isArray(value) && value.length > 0 && value.every(isText) && new Set(value).size === value.length ? value : undefined
  return entry(options, {
    expected: `a list of different texts, each ${expected}`,
    parse,
    parseText: (value) => parse(value.split(',').map((part) => part.trim())),
    format: (value) => `[${value.map((part) => JSON.stringify(part)).join(', ')}]`,
  })
}

interface IntegerRange {
  readonly min: number
  readonly max: number
}

export function integer(options: KeyOptions<number> & IntegerRange): Key<number>
export function integer(options: ColumnOptions<number> & IntegerRange): Column<number>
export function integer(options: (KeyOptions<number> | ColumnOptions<number>) & IntegerRange): Key<number> | Column<number> {
  const { min, max } = options
  const parse = (value: unknown): number | undefined =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max ? value : undefined
  return entry(options, {
    expected: `an integer from ${min} to ${max}`,
    parse,
    parseText: (value) => (/^-?\d{1,16}$/.test(value) ? parse(Number(value)) : undefined),
    format: String,
  })
}

/** Different integers of one range, at least one. */
export function integers(options: KeyOptions<readonly number[]> & IntegerRange): Key<readonly number[]>
export function integers(options: ColumnOptions<readonly number[]> & IntegerRange): Column<readonly number[]>
export function integers(
  options: (KeyOptions<readonly number[]> | ColumnOptions<readonly number[]>) & IntegerRange,
): Key<readonly number[]> | Column<readonly number[]> {
  const { min, max } = options
  const isMember = (value: unknown): value is number =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max
  const parse = (value: unknown): readonly number[] | undefined =>
    Array.isArray(value) && value.length > 0 && value.every(isMember) && new Set(value).size === value.length ? value : undefined
  return entry(options, {
    expected: `a list of different integers from ${min} to ${max}`,
    parse,
    parseText: (value) => parse(value.split(',').map(Number)),
    format: (value) => `[${value.join(', ')}]`,
  })
}

export function boolean(options: KeyOptions<boolean>): Key<boolean>
export function boolean(options: ColumnOptions<boolean>): Column<boolean>
export function boolean(options: KeyOptions<boolean> | ColumnOptions<boolean>): Key<boolean> | Column<boolean> {
  return entry(options, {
    expected: 'true or false',
    parse: (value) => (typeof value === 'boolean' ? value : undefined),
    parseText: (value) => (value === 'true' ? true : value === 'false' ? false : undefined),
    format: String,
  })
}

/** Where a node of the cluster is reached. */
export interface NodeAddress {
  readonly node: number
  /** 'host:port' */
  readonly address: string
}

const NODE_ID = /^[1-9]\d{0,4}$/

/** A table of node ids and addresses; as text, 'id=address,id=address'. Its value ascends by id. */
export function nodeAddresses(options: KeyOptions<Readonly<Record<string, string>>>): Key<readonly NodeAddress[]> {
  const parse = (value: unknown): readonly NodeAddress[] | undefined => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    const nodes = Object.entries(value).map(([node, address]) => ({ node: Number(NODE_ID.exec(node)?.[0]), address: String(address) }))
    const isGood = ({ node, address }: NodeAddress): boolean => node <= 65535 && isNodeAddress(address)
    const isUnique = new Set(nodes.map(({ address }) => address)).size === nodes.length
    return nodes.every(isGood) && isUnique ? nodes.sort((a, b) => a.node - b.node) : undefined
  }
  const parseText = (text: string): readonly NodeAddress[] | undefined => {
    const inner = text.replace(/^\{(.*)\}$/, '$1').trim()
    const pairs = inner === '' ? [] : inner.split(',').map((pair) => pair.split('=').map((part) => part.trim()))
    const table = new Map(pairs.map(([node = '', address = '']) => [node, address]))
    return pairs.every(({ length }) => length === 2) && table.size === pairs.length ? parse(Object.fromEntries(table)) : undefined
  }
  const format = (nodes: readonly NodeAddress[]): string =>
    nodes.length === 0 ? '{}' : `{ ${nodes.map(({ node, address }) => `${node} = ${JSON.stringify(address)}`).join(', ')} }`
  const expected = 'a table of node ids, each with a "host:port" of its own (as text: 1=10.0.0.1:1228,2=10.0.0.2:1228)'
  return entry<readonly NodeAddress[]>(options, { expected, parse, parseText, format }) as Key<readonly NodeAddress[]>
}

interface DurationRange {
  readonly min: string
  readonly max: string
  /** Also accepts "never", which is Infinity. */
  readonly never?: boolean
}

/** In milliseconds. */
export function duration(options: KeyOptions<string> & DurationRange): Key<number>
export function duration(options: ColumnOptions<string> & DurationRange): Column<number>
export function duration(options: (KeyOptions<string> | ColumnOptions<string>) & DurationRange): Key<number> | Column<number> {
  const { min, max, never = false } = options
  const minMs = parseDuration(min) ?? 0
  const maxMs = parseDuration(max) ?? Number.MAX_SAFE_INTEGER
  const parseText = (value: string): number | undefined => {
    if (never && value === 'never') return Number.POSITIVE_INFINITY
    const durationMs = parseDuration(value)
    return durationMs !== undefined && durationMs >= minMs && durationMs <= maxMs ? durationMs : undefined
  }
  return entry(options, {
    expected: `a duration from "${min}" to "${max}" (units ms, s, m, h, d)${never ? ', or "never"' : ''}`,
    parse: (value) => (typeof value === 'string' ? parseText(value) : undefined),
    parseText,
    format: (value) => (value === Number.POSITIVE_INFINITY ? '"never"' : `"${formatDuration(value)}"`),
  })
}

interface SizeRange {
  readonly min: string
  readonly max: string
  /** Also accepts "auto", which is Infinity. */
  readonly auto?: boolean
}

/** In bytes. */
export function size(options: KeyOptions<string> & SizeRange): Key<number>
export function size(options: ColumnOptions<string> & SizeRange): Column<number>
export function size(options: (KeyOptions<string> | ColumnOptions<string>) & SizeRange): Key<number> | Column<number> {
  const { min, max, auto = false } = options
  const minBytes = parseSize(min) ?? 0
  const maxBytes = parseSize(max) ?? Number.MAX_SAFE_INTEGER
  const parseText = (value: string): number | undefined => {
    if (auto && value === 'auto') return Number.POSITIVE_INFINITY
    const bytes = parseSize(value)
    return bytes !== undefined && bytes >= minBytes && bytes <= maxBytes ? bytes : undefined
  }
  return entry(options, {
    expected: `a size from "${min}" to "${max}" (units KiB, MiB, GiB, TiB), or a count of bytes${auto ? ', or "auto"' : ''}`,
    parse: (value) => (typeof value === 'string' || typeof value === 'number' ? parseText(String(value)) : undefined),
    parseText,
    format: (value) => (value === Number.POSITIVE_INFINITY ? '"auto"' : `"${formatSize(value)}"`),
  })
}

interface Members<T extends string> {
  readonly values: readonly T[]
}

export function choice<const T extends string>(options: KeyOptions<NoInfer<T>> & Members<T>): Key<T>
export function choice<const T extends string>(options: ColumnOptions<NoInfer<T>> & Members<T>): Column<T>
export function choice<const T extends string>(options: (KeyOptions<T> | ColumnOptions<T>) & Members<T>): Key<T> | Column<T> {
  const { values } = options
  const parse = (value: unknown): T | undefined => values.find((known) => known === value)
  return entry(options, {
    expected: `one of ${values.map((value) => `"${value}"`).join(', ')}`,
    parse,
    parseText: parse,
    format: (value) => `"${value}"`,
  })
}

/** Distinct members of a closed set, at least one, in the order of the set. */
export function list<const T extends string>(options: KeyOptions<readonly NoInfer<T>[]> & Members<T>): Key<readonly T[]>
export function list<const T extends string>(options: ColumnOptions<readonly NoInfer<T>[]> & Members<T>): Column<readonly T[]>
export function list<const T extends string>(
  options: (KeyOptions<readonly T[]> | ColumnOptions<readonly T[]>) & Members<T>,
): Key<readonly T[]> | Column<readonly T[]> {
  const { values } = options
  const parse = (value: unknown): readonly T[] | undefined => {
    if (!Array.isArray(value) || value.length === 0 || new Set(value).size < value.length) return undefined
    const members = values.filter((known) => value.includes(known))
    return members.length === value.length ? members : undefined
  }
  return entry(options, {
    expected: `a list of different names out of ${values.map((value) => `"${value}"`).join(', ')}`,
    parse,
    parseText: (value) => parse(value.split(',').map((name) => name.trim())),
    format: (value) => `[${value.map((name) => `"${name}"`).join(', ')}]`,
  })
}
