// SPDX-License-Identifier: Apache-2.0
// Each rule of tidy, broken and kept, in files that exist only here.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EMPTY_NAMES, LAYERS } from '../../../scripts/tidy/architecture.ts'
import { checkCores, checkDefaultExports, checkEffects, checkModuleState } from '../../../scripts/tidy/code-rules.ts'
import { checkCycles, checkUnused } from '../../../scripts/tidy/graph-rules.ts'
import { checkImports } from '../../../scripts/tidy/import-rules.ts'
import { checkFileLengths, checkFunctionLengths } from '../../../scripts/tidy/size-rules.ts'
import { type Check, parseTree } from '../../../scripts/tidy/source-tree.ts'
import { checkTestTitles } from '../../../scripts/tidy/test-rules.ts'
import { checkHeaders, checkNames, checkTestFileNames, checkText } from '../../../scripts/tidy/text-rules.ts'

/** What a check says about files given as path to text: 'path:line' of each problem. */
function places(check: Check, files: Readonly<Record<string, string>>): readonly string[] {
  const tree = parseTree(Object.entries(files).map(([path, text]) => ({ path, text })))
  return check(tree).map((problem) => `${problem.path}:${problem.line}`)
}

/** Whether `check` objects to one file. */
const objects = (check: Check, path: string, text: string): boolean => places(check, { [path]: text }).length > 0

const importing = (path: string, specifier: string): boolean => objects(checkImports, path, `import { x } from '${specifier}'`)

test('the table of layers lets no layer know one of its own rank or above', () => {
  for (const [name, layer] of Object.entries(LAYERS)) {
    for (const other of layer.mayImport) assert.ok((LAYERS[other]?.rank ?? Number.NaN) < layer.rank, `${name} may import ${other}`)
  }
})

test('B1: an import goes down the ranks, never up, sideways or past a boundary', () => {
  assert.equal(importing('src/broker/a.ts', '#base/error'), false)
  assert.equal(importing('src/broker/a.ts', '#storage'), false)
  assert.equal(importing('roles/main.ts', '#broker'), false)
  assert.ok(importing('src/base/a.ts', '#contract/x'), 'upward')
  assert.ok(importing('src/meta/a.ts', '#engine'), 'sideways')
  assert.ok(importing('src/broker/a.ts', '#engine'), 'downward, past the boundary')
  assert.ok(importing('src/runtime/a.ts', '#contract/x'), 'sideways, to the same rank')
  assert.ok(importing('src/elsewhere/a.ts', './b.ts'), 'a folder that is no layer')
})

test('B1: types, re-exports, dynamic imports and workers are imports too', () => {
  const forms = [
    "import type { X } from '#engine'",
    "export { x } from '#engine'",
    "const x = await import('#engine')",
    "let x: import('#engine').X",
    "new Worker(new URL('../../engine/worker.ts', import.meta.url))",
  ]
  for (const form of forms) assert.ok(objects(checkImports, 'src/meta/service/a.ts', form), form)
  assert.equal(objects(checkImports, 'src/meta/a.ts', "// import { x } from '#engine'"), false, 'a comment is not')
  assert.equal(
    objects(checkImports, 'roles/a.ts', "new URL('../../package.json', import.meta.url)"),
    false,
    'nor is a file that is no code',
  )
})

test('B2: relative inside a layer, by the name of the layer across', () => {
  assert.equal(importing('src/meta/service/a.ts', '../codec/b.ts'), false)
  assert.ok(importing('src/meta/service/a.ts', '../../raft/group.ts'), 'relative into another layer')
  assert.ok(importing('src/raft/a.ts', '#raft'), 'its own layer by name')
  assert.ok(importing('src/meta/a.ts', '#raft/group'), 'past the index')
  assert.ok(importing('src/meta/a.ts', '#base'), 'base has no index')
  assert.ok(importing('src/meta/a.ts', '#nowhere'), 'an unknown layer')
})

test('B3: the core of raft knows nothing around it, and log stores are known by their port', () => {
  assert.equal(importing('src/raft/host.ts', './group.ts'), false)
  assert.equal(importing('src/raft/group.ts', './core/raft-core.ts'), false)
  assert.equal(importing('src/raft/log/file/append.ts', '../../log-store.ts'), false)
  assert.equal(importing('src/raft/index.ts', './log/file/file-log-store.ts'), false)
  assert.ok(importing('src/raft/core/log.ts', '../log-store.ts'), 'core to a port')
  assert.ok(importing('src/raft/group.ts', './host.ts'), 'group to host')
  assert.ok(importing('src/raft/host.ts', './log/file/append.ts'), 'host to a log store')
  assert.ok(importing('src/raft/log/file/append.ts', '../../core/raft-core.ts'), 'a log store to the core')
})

test('B3: in the broker a handler sees all parts, and they see neither it nor each other', () => {
  const parts = ['message', 'security', 'schema', 'protocol', 'network']
  for (const part of parts) {
    assert.equal(importing('src/broker/handler/mqtt/a.ts', `../../${part}/b.ts`), false)
    assert.ok(importing(`src/broker/${part}/a.ts`, '../handler/mqtt/b.ts'), `${part} to handler`)
    for (const other of parts.filter((name) => name !== part)) {
      assert.ok(importing(`src/broker/${part}/a.ts`, `../${other}/b.ts`), `${part} to ${other}`)
    }
  }
  assert.equal(importing('src/broker/broker.ts', './message/publish.ts'), false)
})

test('B5: alternatives share what stands above them, and do not know each other', () => {
  assert.equal(importing('src/raft/log/file/read.ts', './append.ts'), false)
  assert.ok(importing('src/raft/log/file/read.ts', '../memory/read.ts'))
  assert.equal(importing('src/storage/s3/s3-shard-store.ts', '../shard-store.ts'), false)
  assert.ok(importing('src/storage/s3/s3-shard-store.ts', '../redis/redis-client.ts'))
  assert.ok(importing('src/broker/protocol/mqtt/reader.ts', '../kafka/reader.ts'))
})

test('B6: a package is imported where the table says, and nowhere else', () => {
  assert.equal(importing('src/runtime/rocksdb-kv.ts', 'level-rocksdb'), false)
  assert.ok(importing('src/engine/a.ts', 'level-rocksdb'))
  assert.equal(importing('src/meta/service/meta-admin.ts', 'hono'), false)
  assert.ok(importing('src/meta/service/meta-service.ts', 'hono'))
  assert.equal(importing('src/server/http-server.ts', '@hono/node-server'), false)
  assert.equal(importing('src/broker/protocol/mqtt/reader.ts', 'mqtt-packet'), false)
  assert.ok(importing('src/broker/handler/mqtt/a.ts', 'mqtt-packet'))
  assert.ok(importing('src/base/a.ts', 'left-pad'), 'a package nobody gave a reason for')
  assert.equal(importing('test/unit/a.test.ts', 'fast-check'), false, 'tests choose their own')
})

test("Node's modules are used by the runtime, under whatever name", () => {
  assert.equal(importing('src/runtime/node-disk.ts', 'node:fs'), false)
  assert.ok(importing('src/engine/a.ts', 'node:fs'))
  assert.ok(importing('src/engine/a.ts', 'fs/promises'))
})

test('B8: the product does not import tests or tools', () => {
  assert.ok(importing('src/raft/a.ts', '../../test/sim/clock.ts'))
  assert.ok(importing('roles/main.ts', '../scripts/tidy.ts'))
  assert.equal(importing('test/sim/clock.ts', '../../src/base/heap.ts'), false)
})

test('B1: a cycle is told once, with its way, types included', () => {
  const files = {
    'src/raft/a.ts': "import './b.ts'",
    'src/raft/b.ts': "\nimport type { C } from './c.ts'",
    'src/raft/c.ts': "import './a.ts'",
    'src/raft/d.ts': "import './a.ts'",
  }
  const problems = checkCycles(parseTree(Object.entries(files).map(([path, text]) => ({ path, text }))))
  assert.deepEqual(
    problems.map((problem) => problem.sentence),
    ['src/raft/a.ts > src/raft/b.ts > src/raft/c.ts > src/raft/a.ts'],
  )
})

test('B1: two cycles through one file are both found', () => {
  const files = {
    'src/raft/a.ts': "import './b.ts'",
    'src/raft/b.ts': "import './a.ts'; import './c.ts'",
    'src/raft/c.ts': "import './b.ts'",
  }
  assert.deepEqual(places(checkCycles, files), ['src/raft/a.ts:1', 'src/raft/b.ts:1'])
})

test('B1: a source file that only tests reach is unused', () => {
  const files = {
    'roles/main.ts': "import { x } from '#raft'; import { y } from '#base/used'",
    'src/raft/index.ts': "export { g } from './group.ts'",
    'src/raft/group.ts': '',
    'src/base/used.ts': '',
    'src/base/lonely.ts': '',
    'test/unit/base/lonely.test.ts': "import '#base/lonely'",
  }
  assert.deepEqual(places(checkUnused, files), ['src/base/lonely.ts:1'])
})

test('D12: time, randomness and the process are ports, wherever the name stands', () => {
  const forms = [
    'const now = () => Date.now()',
    'const made = () => new Date()',
    'const later = () => setTimeout(f, 1)',
    'const drawn = () => Math.random()',
    'const set = () => process.env.X',
    'const id = () => crypto.randomUUID()',
    'const all = () => ({ fetch })',
    'const way = () => globalThis.setTimeout',
    'let at: Date',
    'const order = (a: string, b: string) => a.localeCompare(b)',
  ]
  for (const form of forms) assert.ok(objects(checkEffects, 'src/engine/a.ts', form), form)
  for (const form of forms) assert.equal(objects(checkEffects, 'src/runtime/a.ts', form), false, form)
})

test('D12: a comment, a string, a member or a name of its own is not the global', () => {
  const forms = [
    '// Date.now() is banned',
    "const text = 'setTimeout'",
    'const now = (clock: { performance: number }) => clock.performance',
    'const f = (process: Worker) => process.run()',
    'const f = ({ crypto }: Ports) => crypto.sign()',
    'function f() { const fetch = 1; return () => fetch }',
    "import { process } from './worker.ts'\nexport const f = () => process()",
    'interface X { setTimeout(): void }',
    'const isDate = (value: unknown) => value instanceof Date',
    'const f = () => { for (const process of list) run(process) }',
    'const f = () => { try { run() } catch (global) { keep(global) } }',
    'const soon = () => queueMicrotask(run)',
    'const top = Math.max(1, 2)',
  ]
  for (const form of forms) assert.equal(objects(checkEffects, 'src/engine/a.ts', form), false, form)
})

test('D12: a name declared in one scope does not cover a use outside of it', () => {
  assert.deepEqual(places(checkEffects, { 'src/engine/a.ts': 'const f = (process: X) => process.run()\nconst g = () => process.exit()' }), [
    'src/engine/a.ts:2',
  ])
})

test('B9: a core has no promise and no port', () => {
  const forms = [
    'async function f() {}',
    'const f = async () => 1',
    'const f = (): Promise<void> => g()',
    'for await (const x of y) g()',
    "import type { Clock } from '#base/port/clock'",
  ]
  for (const form of forms) assert.ok(objects(checkCores, 'src/raft/core/a.ts', form), form)
  for (const form of forms) assert.equal(objects(checkCores, 'src/raft/group.ts', form), false, form)
  assert.equal(objects(checkCores, 'src/raft/core/a.ts', "// await nothing, no Promise\nimport { assert } from '#base/assert'"), false)
})

test('B7: a module has no state that changes, and importing it does nothing', () => {
  const broken = ['let count = 0', 'export var x = 1', 'const seen = new Map<string, number>()', 'register(handler)', 'await connect()']
  for (const form of broken) assert.ok(objects(checkModuleState, 'src/meta/a.ts', form), form)
  const kept = [
    'export const MAX = 1',
    'const NAMES: ReadonlyMap<string, number> = new Map([])',
    'class A { #seen = new Map() }',
    'function f() { let count = 0; count++ }',
    'declare let ambient: number',
  ]
  for (const form of kept) assert.equal(objects(checkModuleState, 'src/meta/a.ts', form), false, form)
  assert.equal(objects(checkModuleState, 'roles/main.ts', 'run()'), false, 'the wiring acts')
})

test('a default export is refused in all its forms', () => {
  for (const form of ['export default 1', 'export default class A {}', 'const a = 1\nexport { a as default }']) {
    assert.ok(objects(checkDefaultExports, 'src/meta/a.ts', form), form)
  }
  assert.equal(objects(checkDefaultExports, 'src/meta/a.ts', 'export class A {}'), false)
})

test('a file stops at its limit, which generated code does not have', () => {
  const lines = (count: number) => 'const x = 1\n'.repeat(count)
  assert.equal(objects(checkFileLengths, 'src/meta/a.ts', lines(500)), false)
  assert.deepEqual(places(checkFileLengths, { 'src/meta/a.ts': lines(501) }), ['src/meta/a.ts:501'])
  assert.equal(objects(checkFileLengths, 'test/unit/a.test.ts', lines(700)), false)
  assert.ok(objects(checkFileLengths, 'test/unit/a.test.ts', lines(701)))
  assert.equal(objects(checkFileLengths, 'src/contract/proto/generated/a.ts', lines(9000)), false)
})

test('a function has at most 70 lines; the body of a test and a list of tests as many as they need', () => {
  const body = (count: number) => 'x()\n'.repeat(count)
  assert.equal(objects(checkFunctionLengths, 'src/a/a.ts', `function f() {\n${body(68)}}`), false)
  assert.ok(objects(checkFunctionLengths, 'src/a/a.ts', `function f() {\n${body(69)}}`))
  assert.ok(objects(checkFunctionLengths, 'src/a/a.ts', `class A { m() {\n${body(69)}} }`))
  assert.ok(objects(checkFunctionLengths, 'src/a/a.ts', `run(() => {\n${body(69)}})`))
  assert.equal(objects(checkFunctionLengths, 'test/a.test.ts', `test('story', async () => {\n${body(200)}})`), false)
  assert.equal(objects(checkFunctionLengths, 'test/a.test.ts', `test('story', (t) => t.test('part', () => {\n${body(200)}}))`), false)
  assert.equal(objects(checkFunctionLengths, 'test/suite/kv.ts', `export function kvSuite() {\ntest('a', () => {})\n${body(200)}}`), false)
})

test('a file begins with its license and says what it is', () => {
  const license = '// SPDX-License-Identifier: Apache-2.0\n'
  assert.equal(objects(checkHeaders, 'src/base/a.ts', `${license}// What it is.\n`), false)
  assert.equal(objects(checkHeaders, 'roles/a.cts', `#!/usr/bin/env node\n${license}// What it is.\n`), false)
  assert.equal(objects(checkHeaders, 'test/unit/a.test.ts', `${license}import x from 'x'\n`), false)
  assert.deepEqual(places(checkHeaders, { 'src/base/a.ts': `${license}import x from 'x'\n` }), ['src/base/a.ts:2'])
  assert.deepEqual(places(checkHeaders, { 'src/base/a.ts': `// What it is.\n${license}` }), ['src/base/a.ts:1'])
})

test('no file or folder has a name that says nothing', () => {
  for (const word of EMPTY_NAMES) {
    assert.ok(objects(checkNames, `src/base/${word}.ts`, ''), word)
    assert.ok(objects(checkNames, `src/base/topic-${word}s.ts`, ''), word)
    assert.ok(objects(checkNames, `src/${word}/topic.ts`, ''), word)
  }
  assert.equal(objects(checkNames, 'src/base/metadata.ts', ''), false)
  assert.equal(objects(checkNames, 'src/base/data-group.ts', ''), false)
  assert.ok(objects(checkNames, 'src/base/topicFilter.ts', ''), 'not kebab-case')
})

test('text has no tabs, no blanks at the end, no path of one machine, no unowned leftovers', () => {
  const note = 'TO'.concat('DO')
  const folder = ['', 'work', 'main'].join('/')
  for (const line of ['a\tb', 'a ', 'a\r', `see ${folder}`, `// ${note}: later`, `// ${note}(owner)`]) {
    assert.deepEqual(places(checkText, { 'README.md': `fine\n${line}\nfine\n` }), ['README.md:2'], JSON.stringify(line))
  }
  for (const line of [`// ${note}(raft, when groups split)`, 'the path https://example.com/network/main', 'src/work.ts']) {
    assert.deepEqual(places(checkText, { 'README.md': `${line}\n` }), [], line)
  }
})

test('two test files of one name mirror two sources of one name', () => {
  const mirrors = { 'src/raft/log/file/read.ts': '', 'src/raft/log/memory/read.ts': '' }
  const tests = { 'test/unit/raft/log/file/read.test.ts': '', 'test/unit/raft/log/memory/read.test.ts': '' }
  assert.deepEqual(places(checkTestFileNames, { ...mirrors, ...tests }), [])
  assert.deepEqual(places(checkTestFileNames, tests), ['test/unit/raft/log/memory/read.test.ts:1'])
})

test('in a test file every title is used once in its group', () => {
  const text = "test('a', f)\ndescribe('x', () => { it('a', f) })\ndescribe('y', () => { it('a', f) })\ntest('a', f)\n"
  assert.deepEqual(places(checkTestTitles, { 'test/unit/a.test.ts': text }), ['test/unit/a.test.ts:4'])
})
