// SPDX-License-Identifier: Apache-2.0
// Checks the rules of the code base that no linter knows. Prints `path:line: rule: sentence` and exits 1 when one is broken.
//
//   node dist/scripts/tidy.js
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkCores, checkDefaultExports, checkEffects, checkModuleState } from './tidy/code-rules.ts'
import { checkCycles, checkUnused } from './tidy/graph-rules.ts'
import { checkImports } from './tidy/import-rules.ts'
import { checkFileLengths, checkFunctionLengths } from './tidy/size-rules.ts'
import { type Check, type Problem, parseTree, type TextFile } from './tidy/source-tree.ts'
import { checkTestTitles } from './tidy/test-rules.ts'
import { checkHeaders, checkNames, checkTestFileNames, checkText } from './tidy/text-rules.ts'
import { checkTypes, loadProgram } from './tidy/type-rules.ts'

const CHECKS: readonly Check[] = [
  checkImports,
  checkCycles,
  checkUnused,
  checkEffects,
  checkCores,
  checkModuleState,
  checkDefaultExports,
  checkFileLengths,
  checkFunctionLengths,
  checkHeaders,
  checkNames,
  checkText,
  checkTestFileNames,
  checkTestTitles,
]

const DIRECTORIES = ['src', 'roles', 'test', 'scripts', '.ci']
const TEXT = /\.(ts|cts|mts|js|cjs|mjs|json|md|toml|yml|yaml|txt|proto|sh|html|css)$|(^|\/)[^.]+$|(^|\/)\.[^/]+$/
/** Written by others: the lock file by npm, the license by its foundation. */
const FOREIGN: readonly string[] = ['package-lock.json', 'LICENSE']

function readTree(root: string): readonly TextFile[] {
  const below = DIRECTORIES.flatMap((directory) => listFiles(root, directory))
  const atTop = readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
  return [...atTop, ...below]
    .filter((file) => TEXT.test(file) && !FOREIGN.includes(file))
    .sort()
    .map((file) => ({ path: file, text: readFileSync(path.join(root, file), 'utf8') }))
}

function listFiles(root: string, directory: string): readonly string[] {
  return readdirSync(path.join(root, directory), { withFileTypes: true }).flatMap((entry) => {
    const file = `${directory}/${entry.name}`
    return entry.isDirectory() ? listFiles(root, file) : [file]
  })
}

const byPlace = (a: Problem, b: Problem): number => (a.path < b.path ? -1 : a.path > b.path ? 1 : a.line - b.line)

function main(root: string): void {
  const tree = parseTree(readTree(root))
  const typed = checkTypes(loadProgram(path.join(root, 'tsconfig.json')), root)
  const problems = [...CHECKS.flatMap((check) => check(tree)), ...typed].sort(byPlace)
  for (const { path: file, line, rule, sentence } of problems) console.log(`${file}:${line}: ${rule}: ${sentence}`)
  console.log(problems.length === 0 ? `tidy: ${tree.files.length} files, nothing to say` : `tidy: ${problems.length} problems`)
  process.exitCode = problems.length === 0 ? 0 : 1
}

// Compiled to dist/scripts, two levels below the root.
main(fileURLToPath(new URL('../..', import.meta.url)))
