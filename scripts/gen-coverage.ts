// SPDX-License-Identifier: Apache-2.0
// Writes test/conformance/COVERAGE.md: what covers each normative statement of MQTT. With --check it only compares, and exits with 1 when the page
// is not up to date or a statement has neither a test nor a reason.
//
//   node dist/scripts/gen-coverage.js [--check]
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { cover, type Reason } from './coverage/page.ts'
import { type Title, titlesOf } from './coverage/titles.ts'

/** Compiled to dist/scripts, two levels below the root. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PAGE = path.join(ROOT, 'test/conformance/COVERAGE.md')
const LISTS = path.join(ROOT, 'test/conformance/coverage')

const readIds = (name: string): readonly string[] =>
  readFileSync(path.join(LISTS, `${name}-ids.txt`), 'utf8')
    .trim()
    .split('\n')
const readReasons = (name: string): readonly Reason[] => JSON.parse(readFileSync(path.join(LISTS, `${name}-reasons.json`), 'utf8'))

function readTitles(directory: string): readonly Title[] {
  const entries = readdirSync(path.join(ROOT, directory), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  return entries.flatMap((entry) => {
    const place = `${directory}/${entry.name}`
    if (entry.isDirectory()) return readTitles(place)
    return place.endsWith('.test.ts') ? titlesOf(place, readFileSync(path.join(ROOT, place), 'utf8')) : []
  })
}

/** The tests of scripts are about the ids themselves, not about MQTT. */
const titles = readTitles('test').filter(({ file }) => !file.startsWith('test/unit/scripts/'))
const { page, problems } = cover({
  ids: { mqtt5: readIds('mqtt5'), mqtt311: readIds('mqtt311') },
  reasons: { mqtt5: readReasons('mqtt5'), mqtt311: readReasons('mqtt311') },
  titles,
  exists: (file) => existsSync(path.join(ROOT, file)),
})
const isChecking = process.argv.includes('--check')
const isStale = isChecking && (!existsSync(PAGE) || readFileSync(PAGE, 'utf8') !== page)
if (!isChecking) writeFileSync(PAGE, page)
for (const problem of problems) process.stderr.write(`${problem}\n`)
if (isStale) process.stderr.write('test/conformance/COVERAGE.md is not up to date: run node dist/scripts/gen-coverage.js\n')
if (problems.length > 0 || isStale) process.exitCode = 1
