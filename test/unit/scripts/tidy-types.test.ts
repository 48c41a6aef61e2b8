// SPDX-License-Identifier: Apache-2.0
// The rules of tidy that ask the compiler for types, on a program that exists only in memory.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import ts from 'typescript'
import { checkTypes } from '../../../scripts/tidy/type-rules.ts'

const PRELUDE = `
declare function work(): Promise<void>
declare function later(run: () => void): void
declare function wait(run: () => void | Promise<void>): void
declare function test(name: string, run: () => Promise<void>): Promise<void>
declare const store: { write(): Promise<void>; closing: Promise<void> | undefined }
declare const kind: 'a' | 'b' | 'c'
declare const text: string
`

const FILE = '/tree/src/a.ts'
const OPTIONS: ts.CompilerOptions = { target: ts.ScriptTarget.ES2022, lib: ['lib.es2022.d.ts'], strict: true, types: [] }

const HOST = ts.createCompilerHost(OPTIONS)
/** The library is the same for every program, and is parsed once. */
const LIBRARY = new Map<string, ts.SourceFile | undefined>()

/** The rules that `statement` breaks. */
function rulesBroken(statement: string): readonly string[] {
  const text = `${PRELUDE}async function f() { ${statement} }`
  const getSourceFile: ts.CompilerHost['getSourceFile'] = (name, version) => {
    if (name === FILE) return ts.createSourceFile(name, text, version, true)
    if (!LIBRARY.has(name)) LIBRARY.set(name, HOST.getSourceFile(name, version))
    return LIBRARY.get(name)
  }
  return checkTypes(ts.createProgram([FILE], OPTIONS, { ...HOST, getSourceFile }), '/tree/').map((problem) => {
    assert.equal(problem.path, 'src/a.ts')
    return problem.rule
  })
}

test('E5: a promise that nobody waits for is found, whoever made it', () => {
  for (const statement of ['work()', 'store.write()', 'work().then(() => 1)', 'Promise.resolve(1)', 'text ? work() : undefined']) {
    assert.deepEqual(rulesBroken(statement), ['floating-promise'], statement)
  }
})

test('E5: a promise that is awaited, returned, caught, kept or given up is not floating', () => {
  const statements = [
    'await work()',
    'return work()',
    'work().catch(later)',
    'store.closing ??= work()',
    'void work()',
    'work().then(later, later)',
  ]
  for (const statement of statements) assert.deepEqual(rulesBroken(statement), [], statement)
})

test('E5: an async function given to somebody who does not wait is found', () => {
  assert.deepEqual(rulesBroken('later(async () => { await work() })'), ['floating-promise'])
  assert.deepEqual(rulesBroken('wait(async () => { await work() })'), [])
  assert.deepEqual(rulesBroken("test('a story', async () => { await work() })"), [])
})

test('a switch over a closed set names all of it, or has a default', () => {
  assert.deepEqual(rulesBroken("switch (kind) { case 'a': break; case 'b': break }"), ['switch'])
  assert.deepEqual(rulesBroken("switch (kind) { case 'a': break; case 'b': case 'c': break }"), [])
  assert.deepEqual(rulesBroken("switch (kind) { case 'a': break; default: }"), [])
  assert.deepEqual(rulesBroken("switch (text) { case 'a': break }"), [])
})
