// SPDX-License-Identifier: Apache-2.0
// Reads a list of tables as a TOML parser returns it: the rows, and everything that is wrong with them.
import { HIDDEN, type Tables } from './key.ts'
import { nearest } from './nearest.ts'
import { type ConfigProblem, type Source, showValue } from './problem.ts'
import { rowPath, snakeCase } from './schema.ts'

export interface TablesReading {
  /** By name in camelCase. A key that is optional and left out is absent. */
  readonly rows: readonly Row[]
  /** Each table and each value in it, with its place. */
  readonly cells: readonly Cell[]
  readonly problems: readonly ConfigProblem[]
}

export type Row = Readonly<Record<string, unknown>>

export interface Cell {
  /** 'topic[0]', 'topic[0].filter'. */
  readonly path: string
  readonly value: unknown
  readonly source: Source
}

export const isTable = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)

/** The source of the first of the paths whose place is known. */
export type SourceOf = (...paths: readonly string[]) => Source

export function readTables(path: string, { columns }: Tables, value: unknown, sourceOf: SourceOf): TablesReading {
  if (!Array.isArray(value) || !value.every(isTable)) {
    const problem = { path, value: showValue(value), expected: `a list of tables, each under [[${path}]]`, nearest: undefined }
    return { rows: [], cells: [], problems: [{ ...problem, source: sourceOf(path) }] }
  }
  const names = Object.keys(columns).map(snakeCase)
  // A secret under a misspelt key is one all the same.
  const holdsSecrets = Object.values(columns).some(({ secret }) => secret === true)
  const cells: Cell[] = []
  const problems: ConfigProblem[] = []
  const rows = value.map((table, index): Row => {
    const above = rowPath(path, index)
    const row: Record<string, unknown> = {}
    for (const [name, column] of Object.entries(columns)) {
      const written = snakeCase(name)
      const place = { path: `${above}.${written}`, source: sourceOf(`${above}.${written}`, above) }
      if (!Object.hasOwn(table, written)) {
        if (column.presence === 'required') problems.push({ ...place, value: undefined, expected: column.expected, nearest: undefined })
        continue
      }
      const accepted = column.parse(table[written])
      if (accepted === undefined)
        problems.push({
          ...place,
          value: column.secret === true ? HIDDEN : showValue(table[written]),
          expected: column.expected,
          nearest: undefined,
        })
      else cells.push({ ...place, value: accepted })
      row[name] = accepted
    }
    for (const name of Object.keys(table)) {
      if (names.includes(name)) continue
      const place = { path: `${above}.${name}`, source: sourceOf(`${above}.${name}`, above) }
      problems.push({ ...place, value: holdsSecrets ? HIDDEN : showValue(table[name]), expected: undefined, nearest: nearest(name, names) })
    }
    cells.push({ path: above, value: row, source: sourceOf(above) })
    return Object.freeze(row)
  })
  return { rows: Object.freeze(rows), cells, problems }
}
