// SPDX-License-Identifier: Apache-2.0
// One test file in a process group of its own: what it reported, what it printed, and whether it ended as it should.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const REPORTER = new URL('./reporter.mjs', import.meta.url).href
/** The end of what a file prints is kept, so that a chatty one cannot fill the memory. */
const OUTPUT_CHARACTERS = 64 * 1024
/** How long the pipes of a file that has ended may stay open. */
const FLUSH_MS = 2_000

const running = new Set()

/**
 * Runs the compiled form of `source` (test/….test.ts). Never rejects: whatever goes wrong with the process is a failed test.
 * The file reports to a file of its own, so that nothing it prints can be taken for a result.
 */
export async function runTestFile(root, source, timeoutMs) {
  const directory = mkdtempSync(path.join(tmpdir(), 'robustmq-test-'))
  const report = path.join(directory, 'report.jsonl')
  const compiled = path.join('dist', source.replace(/\.ts$/, '.js'))
  const startMs = performance.now()
  try {
    const ended = await run(
      ['--enable-source-maps', `--test-reporter=${REPORTER}`, `--test-reporter-destination=${report}`, compiled],
      root,
      timeoutMs,
    )
    const lines = readReport(report)
    const tests = lines.filter(({ outcome }) => outcome !== 'warning' && outcome !== 'end')
    const reason = failureOf(ended, lines, timeoutMs)
    if (reason !== undefined) tests.push({ outcome: 'failed', name: 'the file as a whole', error: reason })
    return { source, tests, output: ended.output, durationMs: performance.now() - startMs }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Ends all test processes with all they have started. */
export function stopAll() {
  for (const child of running) killGroup(child)
}

function run(argv, cwd, timeoutMs) {
  return new Promise((resolve) => {
    // Set by an outer node --test, it would turn the reporter off.
    const { NODE_TEST_CONTEXT, ...env } = process.env
    const child = spawn(process.execPath, argv, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    running.add(child)
    let output = ''
    let isTimedOut = false
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output = (output + text).slice(-OUTPUT_CHARACTERS)
      })
    }
    const deadline = setTimeout(() => {
      isTimedOut = true
      killGroup(child)
    }, timeoutMs)
    const settle = (code, signal) => {
      clearTimeout(deadline)
      running.delete(child)
      resolve({ code, signal, isTimedOut, output })
    }
    child.on('error', (error) => {
      output += error.message
      settle(-1, null)
    })
    // What the test left behind is ended with it, and then no longer holds the pipes open; unless it has fled the group.
    child.on('exit', (code, signal) => {
      killGroup(child)
      setTimeout(settle, FLUSH_MS, code, signal).unref()
    })
    child.on('close', settle)
  })
}

function killGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch (error) {
    // Everything of the group has ended already.
    if (error.code !== 'ESRCH') throw error
  }
}

function readReport(file) {
  try {
    // The last line is cut when the process was killed while it wrote.
    const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
    return lines.map((line) => JSON.parse(line))
  } catch (error) {
    if (error.code === 'ENOENT') return []
    throw error
  }
}

function failureOf({ code, signal, isTimedOut }, lines, timeoutMs) {
  const has = (outcome) => lines.some((line) => line.outcome === outcome)
  if (isTimedOut) return `did not end within ${timeoutMs / 1000} s, and was killed`
  if (signal !== null) return `died of ${signal}`
  if (code !== 0 && !has('failed')) {
    const warnings = lines.filter(({ outcome }) => outcome === 'warning').map(({ error }) => error)
    return [`left with exit code ${code}`, ...warnings].join('\n')
  }
  if (!has('end')) return 'left before its tests had ended, or has none'
  if (lines.length === 1) return 'ran no test'
  return undefined
}
