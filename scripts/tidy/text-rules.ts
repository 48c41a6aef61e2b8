// SPDX-License-Identifier: Apache-2.0
// What is checked without parsing: headers, names of files, blanks, left-over notes, paths of one machine.
import path from 'node:path'
import { EMPTY_NAMES } from './architecture.ts'
import type { Problem, SourceTree, TextFile } from './source-tree.ts'

const LICENSE_LINE = '// SPDX-License-Identifier: Apache-2.0'
const SELF_EVIDENT = /(\/index|\.test)\.ts$/
const NAMED_DIRECTORIES = /^(src|roles|test|scripts)\//
const KEBAB_CASE = /^[a-z0-9]+(-[a-z0-9]+)*$/
/** A note of work left over must say who does it and when it is due. */
const UNFINISHED = /\b(TO[D]O|FIX[M]E)\b(?!\([^,()]+, [^()]+\))/
const MACHINE_PATH = /(^|[^\w.])\/(work|root)\//

/** The license first (after a line for the shell), then a comment on what the file is. An index and a test say it in their own words. */
export function checkHeaders(tree: SourceTree): readonly Problem[] {
  return tree.modules.flatMap((module) => {
    const lines = module.text.split('\n')
    const first = lines[0]?.startsWith('#!') ? 1 : 0
    if (lines[first] !== LICENSE_LINE) return [problem(module, first + 1, 'header', `the file begins with ${LICENSE_LINE}`)]
    const describes = lines[first + 1]?.startsWith('// ') || SELF_EVIDENT.test(module.path)
    return describes ? [] : [problem(module, first + 2, 'header', 'the second line is a comment that says what the file is')]
  })
}

export function checkNames(tree: SourceTree): readonly Problem[] {
  return tree.files
    .filter((file) => NAMED_DIRECTORIES.test(file.path))
    .flatMap((file) => file.path.split('/').flatMap((segment) => nameObjection(file, segment)))
}

function nameObjection(file: TextFile, segment: string): readonly Problem[] {
  const stem = segment.split('.')[0] ?? ''
  const last = stem.split('-').pop()?.toLowerCase() ?? ''
  if (EMPTY_NAMES.some((word) => last === word || last === `${word}s`)) {
    return [problem(file, 1, 'name', `"${segment}" names no responsibility; where no noun fits, it has two jobs`)]
  }
  if (KEBAB_CASE.test(stem) || /^[A-Z]+\.md$/.test(segment)) return []
  return [problem(file, 1, 'name', `"${segment}" is not kebab-case`)]
}

export function checkText(tree: SourceTree): readonly Problem[] {
  return tree.files.flatMap((file) =>
    file.text.split('\n').flatMap((line, at) => {
      const problems: Problem[] = []
      if (line.includes('\t')) problems.push(problem(file, at + 1, 'text', 'a tab; indent with spaces, and write \\t in strings'))
      if (/[ \r]$/.test(line)) problems.push(problem(file, at + 1, 'text', 'blanks at the end of the line'))
      if (MACHINE_PATH.test(line)) problems.push(problem(file, at + 1, 'text', 'a path of one machine'))
      if (UNFINISHED.test(line)) problems.push(problem(file, at + 1, 'unfinished', 'say who does it and when: (owner, condition)'))
      return problems
    }),
  )
}

/** A test file is told from another by its name, unless both mirror a source file of the same name. */
export function checkTestFileNames(tree: SourceTree): readonly Problem[] {
  const sources = new Set(tree.files.map((file) => file.path))
  const seen = new Map<string, string>()
  return tree.files
    .filter((file) => file.path.endsWith('.test.ts') && !sources.has(mirrored(file.path)))
    .flatMap((file) => {
      const name = path.posix.basename(file.path)
      const earlier = seen.get(name)
      seen.set(name, file.path)
      return earlier === undefined ? [] : [problem(file, 1, 'test-name', `${earlier} has the same name`)]
    })
}

const mirrored = (test: string): string =>
  test.replace(/^test\/unit\/(roles\/|scripts\/|)/, (_, root: string) => root || 'src/').replace('.test.ts', '.ts')

const problem = (file: TextFile, line: number, rule: string, sentence: string): Problem => ({ path: file.path, line, rule, sentence })
