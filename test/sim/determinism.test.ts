// SPDX-License-Identifier: Apache-2.0
// The test of determinism itself (T5): one seed, two processes, different surroundings, the same hash.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url))

/** Runs a seed in a process of its own and returns what it prints. */
function hashOf(seed: number, target: readonly string[], timeZone: string, flags: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, TZ: timeZone, LANG: 'tr_TR.UTF-8' } }
    const parameters = [...flags, MAIN, '--seed', String(seed), '--hash', ...target]
    // A seed that fails has a hash like any other: whether it passes is the concern of the smoke test. What follows the first line tells of time.
    execFile(process.execPath, parameters, options, (_error, stdout, stderr) => resolve(stdout.split('\n', 1)[0] || stderr))
  })
}

async function assertSame(seed: number, target: readonly string[], what = 'seed'): Promise<void> {
  const first = await hashOf(seed, target, 'UTC', [])
  const second = await hashOf(seed, target, 'Pacific/Chatham', ['--max-semi-space-size=1', '--random-seed=7'])
  assert.match(first, new RegExp(`^${what} ${seed} hash [0-9a-f]{16}-`))
  assert.equal(second, first)
}

for (const seed of [3, 16]) {
  it(`T5: seed ${seed} gives the same hash in two processes, with the reference broker`, () => assertSame(seed, ['--reference']))
}

for (const seed of [2, 5, 8]) {
  it(`T5: seed ${seed} gives the same hash in two processes`, () => assertSame(seed, []))
}

for (const seed of [2]) {
  it(`T5: engine ${seed} gives the same hash in two processes`, () => assertSame(seed, ['--engine'], 'engine'))
}

for (const seed of [3, 11, 16]) {
  it(`T5: cluster ${seed} gives the same hash in two processes`, () => assertSame(seed, ['--cluster'], 'cluster'))
}
