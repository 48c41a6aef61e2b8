// SPDX-License-Identifier: Apache-2.0
// Which normative statements the title of a test names, read from the source of the test.
import ts from 'typescript'

export type Version = 'mqtt311' | 'mqtt5'

/** A test with the statements that its title names. A hole in a title is written `…`. */
export interface Title {
  readonly file: string
  readonly title: string
  readonly ids: readonly string[]
}

const CALLEES: readonly string[] = ['test', 'it', 'describe', 'suite']
/** `MQTT-3.8.4-1`, or `MQTT-3.8.4-1..3` for three of them. */
const ID = /MQTT-(\d+(?:\.\d+)+)-(\d+)(?:\.\.(\d+))?/g
/** A row of a table that names its tests: nothing but ids. */
const ROW = /^MQTT-[\d.]+-\d+( MQTT-[\d.]+-\d+)*$/
/** Titles of tables are written `${clause} … ${what} …`; the two stand first in a row. */
const [CLAUSE, WHAT] = ['clause', 'what'].map((name) => `\${${name}}`) as [string, string]

interface Row {
  readonly clause: string
  readonly what: string
}

/** The titles of a file that name statements. Tests that are skipped are no tests. */
export function titlesOf(file: string, text: string): readonly Title[] {
  const syntax = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true)
  const rows: Row[] = []
  const titles: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isArrayLiteralExpression(node)) rows.push(...rowsOf(node))
    if (ts.isCallExpression(node) && ts.isIdentifier(node.expression) && CALLEES.includes(node.expression.text)) {
      const [first] = node.arguments
      if (first !== undefined) titles.push(...titleOf(first))
    }
    ts.forEachChild(node, visit)
  }
  visit(syntax)
  return titles
    .flatMap((title) =>
      title.includes(CLAUSE) ? rows.map(({ clause, what }) => title.replace(CLAUSE, clause).replace(WHAT, what)) : [title],
    )
    .map((title) => ({ file, title: title.replace(/\$\{[^}]*\}/g, '…'), ids: idsIn(title) }))
    .filter(({ ids }) => ids.length > 0)
}

/** Every statement that is named, in the order of the text. */
export const idsIn = (text: string): readonly string[] =>
  [...text.matchAll(ID)].flatMap(([, section, first, last]) =>
    Array.from({ length: Number(last ?? first) - Number(first) + 1 }, (_, at) => `MQTT-${section}-${Number(first) + at}`),
  )

/** A title with its holes as they stand in the source. */
function titleOf(argument: ts.Expression): readonly string[] {
  if (ts.isStringLiteralLike(argument)) return [argument.text]
  if (!ts.isTemplateExpression(argument)) return []
  const parts = argument.templateSpans.map(({ expression, literal }) => `\${${expression.getText()}}${literal.text}`)
  return [argument.head.text + parts.join('')]
}

/** The ids in the first place of a row, which may be one of several by a condition. */
function rowsOf(row: ts.ArrayLiteralExpression): readonly Row[] {
  const [first, second] = row.elements
  if (first === undefined || second === undefined) return []
  const what = ts.isStringLiteralLike(second) ? second.text : WHAT
  const found: Row[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node) && ROW.test(node.text)) found.push({ clause: node.text, what })
    if (ts.isConditionalExpression(node)) ts.forEachChild(node, visit)
  }
  visit(first)
  return found
}

/**
 * The version whose statement is meant. The two number differently: the folder decides, then the title, then which of them has the id at all;
 * tests below the protocol are named by MQTT 5 unless they say `3.1.1`. Undefined when neither version has it.
 */
export function versionOf({ file, title }: Title, id: string, known: Readonly<Record<Version, ReadonlySet<string>>>): Version | undefined {
  const wanted: Version = file.includes('/mqtt311/') || (!file.includes('/mqtt5/') && title.includes('3.1.1')) ? 'mqtt311' : 'mqtt5'
  if (known[wanted].has(id)) return wanted
  if (file.includes('/mqtt311/') || file.includes('/mqtt5/')) return undefined
  const other: Version = wanted === 'mqtt5' ? 'mqtt311' : 'mqtt5'
  return known[other].has(id) ? other : undefined
}
