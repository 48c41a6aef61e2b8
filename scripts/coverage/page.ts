// SPDX-License-Identifier: Apache-2.0
// What covers each normative statement, as a page and as a list of what is wrong with it.
import { type Title, type Version, versionOf } from './titles.ts'

/** Why no test names the statement. `harness` and `construction` say where it is held up. */
export const KINDS = ['client', 'harness', 'construction', 'optional'] as const
export type Kind = (typeof KINDS)[number]

export interface Reason {
  readonly kind: Kind
  readonly ids: readonly string[]
  readonly reason: string
  /** Files that hold it up, relative to the root of the repository. */
  readonly where?: readonly string[]
}

export interface Sources {
  readonly ids: Readonly<Record<Version, readonly string[]>>
  readonly reasons: Readonly<Record<Version, readonly Reason[]>>
  readonly titles: readonly Title[]
  exists(file: string): boolean
}

export interface Coverage {
  readonly page: string
  /** Sentences. */
  readonly problems: readonly string[]
}

const NAMES: Readonly<Record<Version, string>> = { mqtt5: 'MQTT 5.0', mqtt311: 'MQTT 3.1.1' }
const VERSIONS: readonly Version[] = ['mqtt5', 'mqtt311']
const KIND_TEXT: Readonly<Record<Kind, string>> = {
  client: 'binds clients only',
  harness: 'asked of every packet that a conformance test receives',
  construction: 'by construction',
  optional: 'a choice that this server does not take',
}
/** Of the tests of one statement, so many are named; the rest are counted. */
const TESTS_SHOWN = 4

export function cover(sources: Sources): Coverage {
  const problems: string[] = []
  const tested = testsById(sources, problems)
  const sections = VERSIONS.map((version) => section(version, sources, tested[version], problems))
  const head = [
    '# Coverage of the MQTT specifications',
    '',
    'Written by `node dist/scripts/gen-coverage.js` from the titles of the tests and from `coverage/*-reasons.json`; `--check` fails when a statement',
    'has neither a test nor a reason. The ids are those of the specifications, whose text is not repeated here.',
    '',
    `| | statements | tested | ${KINDS.map((kind) => KIND_TEXT[kind]).join(' | ')} | open |`,
    `|---|---|---|${'---|'.repeat(KINDS.length)}---|`,
    ...sections.map(({ summary }) => summary),
  ]
  return { page: `${[...head, ...sections.flatMap(({ lines }) => ['', ...lines])].join('\n')}\n`, problems }
}

type TestsById = ReadonlyMap<string, readonly Title[]>

function testsById({ ids, titles }: Sources, problems: string[]): Readonly<Record<Version, TestsById>> {
  const known = { mqtt5: new Set(ids.mqtt5), mqtt311: new Set(ids.mqtt311) }
  const found = { mqtt5: new Map<string, Title[]>(), mqtt311: new Map<string, Title[]>() }
  for (const title of titles) {
    for (const id of new Set(title.ids)) {
      const version = versionOf(title, id, known)
      if (version === undefined) problems.push(`${title.file}: '${title.title}' names ${id}, which there is not`)
      else found[version].set(id, [...(found[version].get(id) ?? []), title])
    }
  }
  return found
}

function section(
  version: Version,
  sources: Sources,
  tested: TestsById,
  problems: string[],
): { readonly lines: readonly string[]; readonly summary: string } {
  const reasons = reasonsById(version, sources, problems)
  const counts = new Map<Kind | 'tested' | 'open', number>()
  const rows = sources.ids[version].map((id) => {
    const tests = tested.get(id)
    const reason = reasons.get(id)
    if (tests !== undefined && reason !== undefined) problems.push(`${NAMES[version]}: ${id} has tests and needs no reason`)
    if (tests === undefined && reason === undefined) problems.push(`${NAMES[version]}: ${id} has neither a test nor a reason`)
    const state = tests !== undefined ? 'tested' : (reason?.kind ?? 'open')
    counts.set(state, (counts.get(state) ?? 0) + 1)
    return `| ${id} | ${tests !== undefined ? describeTests(tests) : reason !== undefined ? describeReason(reason) : '**neither a test nor a reason**'} |`
  })
  const total = sources.ids[version].length
  const columns = (['tested', ...KINDS, 'open'] as const).map((state) => counts.get(state) ?? 0)
  return {
    lines: [`## ${NAMES[version]}`, '', '| statement | covered by |', '|---|---|', ...rows],
    summary: `| ${NAMES[version]} | ${total} | ${columns.join(' | ')} |`,
  }
}

function reasonsById(version: Version, { ids, reasons, exists }: Sources, problems: string[]): ReadonlyMap<string, Reason> {
  const known = new Set(ids[version])
  const found = new Map<string, Reason>()
  for (const reason of reasons[version]) {
    if ((reason.kind === 'construction' || reason.kind === 'harness') && (reason.where ?? []).length === 0)
      problems.push(`${NAMES[version]}: ${reason.ids[0]} is held up by something, but nothing says where`)
    for (const file of reason.where ?? []) {
      if (!exists(file)) problems.push(`${NAMES[version]}: ${file}, which is the reason for ${reason.ids[0]}, is not there`)
    }
    for (const id of reason.ids) {
      if (!known.has(id)) problems.push(`${NAMES[version]}: there is a reason for ${id}, which there is not`)
      if (found.has(id)) problems.push(`${NAMES[version]}: ${id} has two reasons`)
      found.set(id, reason)
    }
  }
  return found
}

function describeTests(tests: readonly Title[]): string {
  // Those that drive a real server say the most.
  const ordered = [...tests].sort((a, b) => rank(a) - rank(b))
  const shown = ordered.slice(0, TESTS_SHOWN).map(({ file, title }) => `${withoutIds(title)} (\`${file.replace(/^test\//, '')}\`)`)
  const more = tests.length - shown.length
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join('<br>')
}

const rank = ({ file }: Title): number => (file.startsWith('test/conformance/') ? 0 : file.startsWith('test/cluster/') ? 1 : 2)

const withoutIds = (title: string): string =>
  title
    .replace(/\[?MQTT-[\d.]+-\d+(\.\.\d+)?\]?:? ?/g, '')
    .replaceAll('|', '\\|')
    .trim() || 'row of a table'

const describeReason = ({ kind, reason, where = [] }: Reason): string =>
  `_${KIND_TEXT[kind]}_: ${reason}${where.length === 0 ? '' : ` (${where.map((file) => `\`${file}\``).join(', ')})`}`
