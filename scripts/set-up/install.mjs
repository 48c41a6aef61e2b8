// SPDX-License-Identifier: Apache-2.0
// Whether node_modules holds what package-lock.json asks for, and `npm ci` when it does not.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { npmCommand, run } from './command.mjs'
import { SetUpProblem } from './problem.mjs'

/**
 * Compares the lock file with the record that npm leaves in node_modules as its last act. So a lock file that changed, an
 * install that was interrupted and one without the development packages are all noticed, and an install made by hand is accepted.
 */
export function isInstalled(root) {
  const locked = readPackages(path.join(root, 'package-lock.json'))
  if (locked === undefined) throw new SetUpProblem('package-lock.json is missing or damaged', 'Restore it: git checkout package-lock.json')
  const installed = readPackages(path.join(root, 'node_modules/.package-lock.json'))
  if (installed === undefined) return false
  return Object.entries(locked).every(([place, wanted]) => {
    if (place === '') return true
    const present = installed[place]
    // An optional package may be for another platform, and is then rightly absent.
    if (present === undefined) return wanted.optional === true
    return present.version === wanted.version && (wanted.integrity === undefined || present.integrity === wanted.integrity)
  })
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages
  } catch (error) {
    if (error.code === 'ENOENT' || error instanceof SyntaxError) return undefined
    throw error
  }
}

/** Install scripts stay off: the only one there is would compile RocksDB without a word, which `provideRocksdb` does better. */
export async function install(root, mention) {
  mention('set-up: installing packages from package-lock.json (npm ci)')
  const result = await run([...npmCommand(), 'ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund'], { cwd: root })
  if (result.code === 0) return
  throw new SetUpProblem(
    `npm ci did not succeed in ${root}\n\n${result.excerpt}\n`,
    'Check that the package registry can be reached (npm ping) and that the directory can be written, then run the command again.',
  )
}
