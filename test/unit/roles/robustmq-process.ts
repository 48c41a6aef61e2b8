// SPDX-License-Identifier: Apache-2.0
// The executable as a process, with what it writes.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const EXECUTABLE = fileURLToPath(new URL('../../../roles/robustmq.cjs', import.meta.url))

/** Tests run side by side: none of them may take a port that it has not chosen. */
const NO_FIXED_PORT = { ROBUSTMQ_MQTT__WS_PORT: '0' }

export interface Run {
  readonly child: ChildProcess
  readonly exited: Promise<number | null>
  stdout: string
  stderr: string
}

export function launch(words: readonly string[], environment: Readonly<Record<string, string>> = {}): Run {
  const child = spawn(process.execPath, [EXECUTABLE, ...words], { env: { ...process.env, ...NO_FIXED_PORT, ...environment } })
  const exited = once(child, 'close').then(([code]) => code as number | null)
  const run: Run = { child, exited, stdout: '', stderr: '' }
  child.stdout.on('data', (chunk) => {
    run.stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    run.stderr += chunk
  })
  return run
}

export async function finished(
  words: readonly string[],
  environment?: Readonly<Record<string, string>>,
): Promise<Run & { readonly code: number | null }> {
  const run = launch(words, environment)
  return Object.assign(run, { code: await run.exited })
}

/** Resolves when it has said that it is ready. */
export async function ready(run: Run): Promise<void> {
  const gone = run.exited.then((code) => assert.fail(`exit ${code}: ${run.stderr}`))
  while (!run.stdout.includes('\n')) await Promise.race([once(run.child.stdout as NodeJS.ReadableStream, 'data'), gone])
}

/** Resolves when the log, after its first `from` characters, has a line that matches. */
export async function logged(run: Run, pattern: RegExp, from = 0): Promise<void> {
  while (!pattern.test(run.stderr.slice(from))) {
    const gone = run.exited.then((code) => assert.fail(`exit ${code}: ${run.stderr}`))
    await Promise.race([once(run.child.stderr as NodeJS.ReadableStream, 'data'), gone])
  }
}
