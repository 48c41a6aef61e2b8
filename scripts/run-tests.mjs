// SPDX-License-Identifier: Apache-2.0
// Runs the compiled tests, each file in a process of its own, and ends with the line `N passed, N failed`.
//
//   node scripts/run-tests.mjs [--all | --only GROUP[,GROUP]] [--concurrency N] [PART-OF-A-PATH ...]
//
// A group is a folder of test/. Without a choice all groups run but the slow ones. A file that crashes, hangs or leaves with a
// failure of its own counts as one failed test.
import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { runTestFile, stopAll } from './run-tests/test-process.mjs'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** Real processes and sockets, or hours: on request only, and one file at a time, so that they do not disturb each other. */
const SLOW_GROUPS = ['cluster', 'soak']
const TIMEOUT_MS = 120_000
const TIMEOUT_SLOW_MS = 600_000

class UsageError extends Error {}

function parseArguments(given) {
  const options = { all: false, only: undefined, concurrency: availableParallelism(), parts: [] }
  const left = [...given]
  for (let argument = left.shift(); argument !== undefined; argument = left.shift()) {
    if (argument === '--all') options.all = true
    else if (argument === '--only') options.only = (left.shift() ?? '').split(',')
    else if (argument === '--concurrency') options.concurrency = Number(left.shift())
    else if (argument.startsWith('-'))
      throw new UsageError(`run-tests does not know ${argument}; it knows --all, --only GROUP and --concurrency N`)
    else options.parts.push(argument)
  }
  if (!(Number.isInteger(options.concurrency) && options.concurrency > 0)) throw new UsageError('--concurrency takes a number from 1')
  return options
}

/** Compiled tests whose source still exists, as paths of their sources. */
function listTests(directory = 'dist/test') {
  if (!existsSync(path.join(ROOT, directory))) return []
  return readdirSync(path.join(ROOT, directory), { withFileTypes: true })
    .flatMap((entry) => {
      const place = `${directory}/${entry.name}`
      if (entry.isDirectory()) return listTests(place)
      const source = place.replace(/^dist\//, '').replace(/\.js$/, '.ts')
      return source.endsWith('.test.ts') && existsSync(path.join(ROOT, source)) ? [source] : []
    })
    .sort()
}

const groupOf = (source) => source.split('/')[1]

function select(sources, { all, only, parts }) {
  const groups = new Set(sources.map(groupOf))
  const unknown = only?.find((group) => !groups.has(group))
  if (unknown !== undefined) throw new UsageError(`there are no tests in test/${unknown}; the groups are ${[...groups].join(', ')}`)
  const wanted = (group) => (only === undefined ? all || !SLOW_GROUPS.includes(group) : only.includes(group))
  const named = sources.filter((source) => parts.length === 0 || parts.some((part) => source.includes(part)))
  const chosen = named.filter((source) => wanted(groupOf(source)))
  if (chosen.length > 0) return chosen
  const elsewhere = [...new Set(named.map(groupOf))].join(', ')
  throw new UsageError(`no test file fits${elsewhere && `, but in ${elsewhere} one does: add --only ${elsewhere.split(',')[0]}`}`)
}

/** Runs the quick files side by side, then the slow ones one after the other. */
async function runAll(sources, concurrency, onResult) {
  const isSlow = (source) => SLOW_GROUPS.includes(groupOf(source))
  const lanes = async (waiting, count, timeoutMs) => {
    const lane = async () => {
      for (let source = waiting.shift(); source !== undefined; source = waiting.shift())
        onResult(await runTestFile(ROOT, source, timeoutMs))
    }
    await Promise.all(Array.from({ length: count }, lane))
  }
  await lanes(
    sources.filter((source) => !isSlow(source)),
    concurrency,
    TIMEOUT_MS,
  )
  await lanes(sources.filter(isSlow), 1, TIMEOUT_SLOW_MS)
}

function printResult({ source, tests, durationMs, output }) {
  const failed = tests.filter((test) => test.outcome === 'failed')
  const mark = failed.length === 0 ? 'ok  ' : 'FAIL'
  console.log(`${mark} ${source} (${tests.length} tests, ${(durationMs / 1000).toFixed(1)} s)`)
  for (const test of failed) {
    console.log(`\n  failed: ${test.name}\n  in ${source}`)
    console.log(indent(test.error ?? 'no reason was given'))
  }
  if (failed.length > 0 && output.trim() !== '') console.log(`\n  what the file printed:\n${indent(output.trimEnd())}\n`)
}

const indent = (text) => text.replace(/^/gm, '    ')

function printSummary(results, wallMs) {
  const tests = results.flatMap((result) => result.tests.map((test) => ({ ...test, source: result.source })))
  const of = (outcome) => tests.filter((test) => test.outcome === outcome)
  const failed = of('failed')
  if (failed.length > 0) console.log(`\nFailed:\n${failed.map((test) => `  ${test.source}: ${test.name}`).join('\n')}`)
  for (const test of of('skipped')) console.log(`skipped: ${test.source}: ${test.name}`)
  const slowest = results.toSorted((a, b) => b.durationMs - a.durationMs)[0]
  console.log(
    `\n${results.length} files in ${(wallMs / 1000).toFixed(1)} s, slowest ${slowest?.source ?? '-'}; ${of('skipped').length} tests skipped`,
  )
  console.log(`${of('passed').length} passed, ${failed.length} failed`)
  return failed.length === 0
}

async function main() {
  const options = parseArguments(process.argv.slice(2))
  const sources = select(listTests(), options)
  const results = []
  const startMs = performance.now()
  await runAll(sources, options.concurrency, (result) => {
    results.push(result)
    printResult(result)
  })
  process.exitCode = printSummary(results, performance.now() - startMs) ? 0 : 1
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
]) {
  process.on(signal, () => {
    stopAll()
    process.exit(code)
  })
}

try {
  await main()
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.log(`${error.message}\n0 passed, 1 failed`)
  process.exitCode = 2
}
