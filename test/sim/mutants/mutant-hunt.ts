// SPDX-License-Identifier: Apache-2.0
// Builds each planted bug into a copy of the compiled program, and runs seeds against it until something finds it. A bug that lives shows a hole of the
// simulation; a replacement that fits no more shows a list that is out of date. Both are failures.
import { spawn } from 'node:child_process'
import { cp, link, mkdir, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ENGINE_MUTANTS } from './engine-mutants.ts'
import { META_MUTANTS } from './meta-mutants.ts'
import { MQTT_MUTANTS } from './mqtt-mutants.ts'
import type { Hunt, Mutant } from './mutant.ts'
import { RAFT_MUTANTS } from './raft-mutants.ts'

export const MUTANTS: readonly Mutant[] = [...RAFT_MUTANTS, ...MQTT_MUTANTS, ...META_MUTANTS, ...ENGINE_MUTANTS]

/** Of the repository: what is compiled, and where copies of it go. */
const DIST = fileURLToPath(new URL('../../../', import.meta.url))
const ROOT = dirname(join(DIST, '.'))
const COPIES = join(ROOT, 'dist-mutants')
/** A run that goes on for so long has found something too: the program hangs. */
const HUNT_MS_MAX = 300_000

const FLAGS: Readonly<Record<Hunt, readonly string[]>> = {
  cluster: ['--cluster'],
  topology: ['--topologies'],
  mqtt: ['--single'],
  meta: ['--meta'],
  engine: ['--engine'],
}

type Outcome =
  | { readonly kind: 'found'; readonly checker: string; readonly seed: number }
  | { readonly kind: 'survived' }
  | { readonly kind: 'outdated'; readonly count: number }

/** The exit code of the command. `named` is a part of the names of the mutants to hunt. */
export async function huntMutants(named: string): Promise<number> {
  const hunted = MUTANTS.filter(({ name }) => name.includes(named))
  let failures = 0
  process.stdout.write(`${row('mutant', 'rule', 'found by', 'seed')}\n`)
  for (const mutant of hunted) {
    const outcome = await hunt(mutant)
    if (outcome.kind !== 'found') failures++
    process.stdout.write(`${describe(mutant, outcome)}\n`)
  }
  process.stdout.write(
    failures === 0 ? `all ${hunted.length} mutants were found\n` : `${failures} of ${hunted.length} mutants were not found\n`,
  )
  return failures === 0 ? 0 : 1
}

async function hunt(mutant: Mutant): Promise<Outcome> {
  const copy = join(COPIES, mutant.name)
  await rm(copy, { recursive: true, force: true })
  try {
    await linkTree(DIST, join(copy, 'dist'))
    await cp(join(ROOT, 'package.json'), join(copy, 'package.json'))
    const path = join(copy, 'dist', mutant.file)
    const text = await readFile(path, 'utf8')
    const count = text.split(mutant.from).length - 1
    if (count !== 1) return { kind: 'outdated', count }
    // The link must go first, or the original would change.
    await unlink(path)
    await writeFile(
      path,
      text.replace(mutant.from, () => mutant.to),
    )
    return await run(mutant, join(copy, 'dist/test/sim/main.js'))
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
}

function run({ hunt: kind, seedFirst, seedsMax }: Mutant, main: string): Promise<Outcome> {
  return new Promise((resolve) => {
    const seeds = ['--from', String(seedFirst), '--seeds', String(seedsMax)]
    const child = spawn(process.execPath, [main, ...FLAGS[kind], ...seeds, '--brief'], { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
    let errors = ''
    child.stderr.on('data', (chunk: Buffer) => {
      errors = (errors + chunk.toString()).slice(-500)
    })
    let hangs = false
    const timer = setTimeout(() => {
      hangs = true
      child.kill('SIGKILL')
    }, HUNT_MS_MAX)
    child.on('close', (code) => {
      clearTimeout(timer)
      const told = /^found (\d+) (.*)$/m.exec(output)
      if (told !== null) resolve({ kind: 'found', seed: Number(told[1]), checker: told[2] as string })
      else if (hangs) resolve({ kind: 'survived' })
      else if (code !== 0)
        resolve({
          kind: 'found',
          seed: 0,
          checker: `the command ended: ${errors.split('\n').find((line) => line.includes('Error')) ?? code}`,
        })
      else resolve({ kind: 'survived' })
    })
  })
}

/** The same files in another place, at the price of their names. */
async function linkTree(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isDirectory()) await linkTree(source, target)
    else if (entry.name.endsWith('.js') || entry.name.endsWith('.json')) await link(source, target)
  }
}

function describe({ name, rule, expected, seedsMax }: Mutant, outcome: Outcome): string {
  switch (outcome.kind) {
    case 'found': {
      const mark = expected.some((checker) => outcome.checker.includes(checker)) ? '' : ' (not expected)'
      return row(name, rule, outcome.checker + mark, String(outcome.seed))
    }
    case 'survived':
      return row(name, rule, 'SURVIVED', `${seedsMax} runs`)
    case 'outdated':
      return row(name, rule, `OUTDATED: its text is there ${outcome.count} times`, '-')
  }
}

const row = (name: string, rule: string, checker: string, seed: string): string =>
  `${name.padEnd(48)} ${rule.padEnd(12)} ${checker.padEnd(40)} ${seed}`
