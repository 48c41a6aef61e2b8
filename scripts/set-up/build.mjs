// SPDX-License-Identifier: Apache-2.0
// Whether dist is up to date with the sources, and the TypeScript compiler when it is not.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { run } from './command.mjs'
import { SetUpProblem } from './problem.mjs'

const SOURCE_DIRECTORIES = ['src', 'roles', 'test', 'scripts']
const SOURCE = /\.(ts|cts|mts)$/
const DECLARATION = /\.d\.(ts|cts|mts)$/
const OUTPUT = /\.(js|cjs|mjs)(\.map)?$/
const STAMP = 'dist/.set-up.json'

export function isBuilt(root) {
  const sources = listSources(root)
  return listOutputs(root, sources).every((file) => existsSync(file)) && readStamp(root) === fingerprint(root, sources)
}

/** Compiles what changed. Outputs of sources that are gone are removed, so that nothing can run or import them. */
export async function build(root, mention) {
  mention('set-up: compiling')
  const sources = listSources(root)
  // Taken before: a source that changes during the build is noticed by the next set-up.
  const built = fingerprint(root, sources)
  // The compiler trusts its own record of what it wrote; where outputs were deleted by hand, that record has to go too.
  const outputs = listOutputs(root, sources)
  if (outputs.some((file) => !existsSync(file))) rmSync(path.join(root, 'dist/.tsbuildinfo'), { force: true })
  removeOrphans(root, new Set(outputs))
  const result = await run([process.execPath, 'node_modules/typescript/bin/tsc', '-p', '.', '--pretty', 'false'], { cwd: root })
  if (result.code !== 0) {
    throw new SetUpProblem(`the sources do not compile\n\n${result.excerpt}\n`, 'All errors: npm run typecheck')
  }
  mkdirSync(path.join(root, 'dist'), { recursive: true })
  writeFileSync(path.join(root, STAMP), JSON.stringify({ sources: built }))
}

function listSources(root) {
  return SOURCE_DIRECTORIES.filter((directory) => existsSync(path.join(root, directory)))
    .flatMap((directory) => listFiles(root, directory).filter((file) => SOURCE.test(file)))
    .sort()
}

function listFiles(root, directory) {
  return readdirSync(path.join(root, directory), { withFileTypes: true }).flatMap((entry) => {
    const file = `${directory}/${entry.name}`
    return entry.isDirectory() ? listFiles(root, file) : [file]
  })
}

/** Names, sizes and times instead of contents: reading everything would cost more than the whole set-up may. */
function fingerprint(root, sources) {
  const hash = createHash('sha256')
  for (const file of ['tsconfig.json', 'package-lock.json', ...sources]) {
    const status = statSync(path.join(root, file), { throwIfNoEntry: false })
    hash.update(`${file} ${status?.size} ${status?.mtimeMs}\n`)
  }
  return hash.digest('hex')
}

function readStamp(root) {
  try {
    return JSON.parse(readFileSync(path.join(root, STAMP), 'utf8')).sources
  } catch (error) {
    if (error.code === 'ENOENT' || error instanceof SyntaxError) return undefined
    throw error
  }
}

function listOutputs(root, sources) {
  return sources.filter((file) => !DECLARATION.test(file)).map((file) => path.join(root, 'dist', file.replace(/ts$/, 'js')))
}

function removeOrphans(root, wanted) {
  for (const directory of SOURCE_DIRECTORIES.map((name) => `dist/${name}`)) {
    if (!existsSync(path.join(root, directory))) continue
    for (const file of listFiles(root, directory)) {
      const full = path.join(root, file)
      if (OUTPUT.test(file) && !wanted.has(full.replace(/\.map$/, ''))) rmSync(full, { force: true })
    }
  }
}
