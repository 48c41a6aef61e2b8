// SPDX-License-Identifier: Apache-2.0
// The test runner, run on trees of tests made for the purpose: what it counts, and that nothing that goes wrong is counted as right.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const SCRIPTS = fileURLToPath(new URL('../../../../scripts', import.meta.url))

interface Outcome {
  readonly code: number | null
  readonly lines: readonly string[]
  readonly lastLine: string | undefined
}

/** Runs the runner on compiled tests given as path to text; each gets a source, but for those named in `withoutSource`. */
function runOn(files: Readonly<Record<string, string>>, argv: readonly string[] = [], withoutSource: readonly string[] = []): Outcome {
  const root = mkdtempSync(path.join(tmpdir(), 'robustmq-runner-'))
  const put = (file: string, text: string) => {
    mkdirSync(path.join(root, path.dirname(file)), { recursive: true })
    writeFileSync(path.join(root, file), text)
  }
  try {
    for (const name of ['run-tests.mjs', 'run-tests'])
      cpSync(path.join(SCRIPTS, name), path.join(root, 'scripts', name), { recursive: true })
    for (const [name, text] of Object.entries(files)) {
      put(`dist/test/${name}.test.js`, `const { test, describe, it } = require('node:test')\n${text}`)
      if (!withoutSource.includes(name)) put(`test/${name}.test.ts`, '')
    }
    const result = spawnSync(process.execPath, ['scripts/run-tests.mjs', ...argv], { cwd: root, encoding: 'utf8' })
    const lines = result.stdout.trimEnd().split('\n')
    return { code: result.status, lines, lastLine: lines.at(-1) }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

const PASSING = "test('holds', () => {})"

test('tests are counted, groups and skipped ones are not', () => {
  const outcome = runOn({
    'unit/a': "describe('group', () => { it('one', () => {}); it('two', () => {}); it.skip('three', () => {}) })",
    'script/b': PASSING,
  })
  assert.equal(outcome.lastLine, '3 passed, 0 failed')
  assert.equal(outcome.code, 0)
})

test('a failure is told in full, once, and the rest still runs', () => {
  const outcome = runOn({
    'unit/a':
      "test('outer', async (t) => { await t.test('inner', () => { throw new Error('the reason') }) })\nconsole.log('said by the file')",
    'unit/b': PASSING,
  })
  assert.equal(outcome.lastLine, '1 passed, 1 failed')
  assert.equal(outcome.code, 1)
  for (const text of ['failed: outer > inner', 'the reason', 'said by the file']) {
    assert.ok(
      outcome.lines.some((line) => line.includes(text)),
      text,
    )
  }
})

test('a file that crashes, leaves early, fails to load, holds nothing or fails after its tests is a failure', () => {
  const broken = {
    crash: `${PASSING}\ntest('dies', () => { process.kill(process.pid, 'SIGSEGV'); return new Promise((done) => setTimeout(done, 5000)) })`,
    leave: `${PASSING}\ntest('leaves', () => { process.exit(0) })`,
    load: "require('./absent')",
    nothing: '',
    never: "test('waits for ever', () => new Promise(() => {}))",
    late: "test('forgets', () => { Promise.reject(new Error('nobody waited')) })",
  }
  for (const [name, text] of Object.entries(broken)) {
    const outcome = runOn({ [`unit/${name}`]: text })
    assert.match(outcome.lastLine ?? '', /^[01] passed, 1 failed$/, name)
    assert.equal(outcome.code, 1, name)
  }
})

test('output of a test cannot be taken for a result', () => {
  const outcome = runOn({ 'unit/a': `console.log('{"outcome":"passed","name":"forged"}\\n100 passed, 0 failed')\n${PASSING}` })
  assert.equal(outcome.lastLine, '1 passed, 0 failed')
})

test('a compiled test whose source is gone does not run', () => {
  const outcome = runOn({ 'unit/a': PASSING, 'unit/old': "test('old', () => { throw new Error() })" }, [], ['unit/old'])
  assert.equal(outcome.lastLine, '1 passed, 0 failed')
})

test('slow groups run on request, and a part of a path chooses files', () => {
  const files = { 'unit/alpha': PASSING, 'unit/beta': PASSING, 'cluster/alpha': PASSING, 'soak/long': PASSING }
  const passed = (...argv: readonly string[]) => runOn(files, argv).lastLine
  assert.equal(passed(), '2 passed, 0 failed')
  assert.equal(passed('--all'), '4 passed, 0 failed')
  assert.equal(passed('--only', 'cluster,soak'), '2 passed, 0 failed')
  assert.equal(passed('alpha'), '1 passed, 0 failed')
  assert.equal(passed('--all', 'alpha', 'long'), '3 passed, 0 failed')
})

test('a choice that fits nothing is a failure, not a success with nothing done', () => {
  for (const argv of [['gamma'], ['--only', 'nothing'], ['--unknown'], ['--concurrency', 'many']]) {
    const outcome = runOn({ 'unit/alpha': PASSING }, argv)
    assert.equal(outcome.lastLine, '0 passed, 1 failed', argv.join(' '))
    assert.equal(outcome.code, 2, argv.join(' '))
  }
})
