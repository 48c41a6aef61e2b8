// SPDX-License-Identifier: Apache-2.0
// A [[topic]] table that does not come from a file: read and refused as if it did.
import type { ConfigProblem, Source } from './problem.ts'
import { readTables } from './read-tables.ts'
import { type Config, SCHEMA } from './schema.ts'

/** One table of [[topic]]: durations in milliseconds, sizes in bytes. */
export type TopicRow = Config['topic'][number]

export type TopicReading =
  | { readonly kind: 'read'; readonly row: TopicRow }
  | { readonly kind: 'refused'; readonly problems: readonly ConfigProblem[] }

/** `name`: of the settings, for the reader of a problem. */
export function readTopicTable(name: string, table: Readonly<Record<string, unknown>>): TopicReading {
  const source: Source = { kind: 'stored', name }
  const { rows, problems } = readTables('topic', SCHEMA.entries.topic, [table], () => source)
  if (problems.length > 0) return { kind: 'refused', problems: problems.map((problem) => ({ ...problem, path: keyOf(problem.path) })) }
  return { kind: 'read', row: rows[0] as TopicRow }
}

/** There is only one table: its place in a list says nothing. */
const keyOf = (path: string): string => path.replace(/^topic\[0\]\./, '')
