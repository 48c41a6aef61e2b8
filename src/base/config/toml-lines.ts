// SPDX-License-Identifier: Apache-2.0
// On which line of a TOML text each key stands. The text has been parsed by then, so this only needs to find keys, not to check them.
import { rowPath } from './schema.ts'

const NAME = String.raw`(?:[\w-]+|"[^"]*"|'[^']*')`
const PATH = String.raw`${NAME}(?:\s*\.\s*${NAME})*`
const HEADER = new RegExp(String.raw`^\s*\[(\[?)\s*(${PATH})\s*\]\]?`)
const ASSIGNMENT = new RegExp(String.raw`^\s*(${PATH})\s*=(.*)$`)

/**
 * Lines, from 1, by path: 'mqtt.max_qos', and 'mqtt' for the header of a section. The n-th table of a list is 'topic[n]', from 0; 'topic' is where the
 * list begins. Keys inside inline tables have none.
 */
export function tomlLines(text: string): ReadonlyMap<string, number> {
  const lines = new Map<string, number>()
  /** Tables so far, by the path of their list. */
  const counts = new Map<string, number>()
  let section = ''
  /** The quotes that end the string of several lines which is open. */
  let open: string | undefined
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (open !== undefined) {
      if (line.includes(open)) open = undefined
      continue
    }
    const header = HEADER.exec(line)
    const assignment = header === null ? ASSIGNMENT.exec(line) : null
    if (header !== null) {
      section = withinLists(normalPath(header[2] ?? ''), counts)
      if (header[1] === '[') {
        const count = counts.get(section) ?? 0
        counts.set(section, count + 1)
        if (count === 0) lines.set(section, index + 1)
        section = rowPath(section, count)
      }
    }
    const path = header !== null ? section : join(section, normalPath(assignment?.[1] ?? ''))
    if ((header !== null || assignment !== null) && !lines.has(path)) lines.set(path, index + 1)
    open = openedString(assignment?.[2] ?? '')
  }
  return lines
}

const join = (section: string, path: string): string => (section === '' ? path : `${section}.${path}`)

const normalPath = (written: string): string =>
  Array.from(written.matchAll(new RegExp(NAME, 'g')), ([name]) => name.replace(/^(["'])(.*)\1$/, '$2')).join('.')

/** A header below a list belongs to the last table of it so far: [a.b] is 'a[1].b' after two times [[a]]. */
function withinLists(path: string, counts: ReadonlyMap<string, number>): string {
  const names = path.split('.')
  return names.reduce((above, name, at) => {
    const whole = join(above, name)
    const count = at < names.length - 1 ? counts.get(whole) : undefined
    return count === undefined ? whole : rowPath(whole, count - 1)
  }, '')
}

/** The quotes of a string that begins in `value` and does not end there. */
function openedString(value: string): string | undefined {
  const quotes = /^\s*("""|''')/.exec(value)?.[1]
  return quotes !== undefined && value.split(quotes).length === 2 ? quotes : undefined
}
