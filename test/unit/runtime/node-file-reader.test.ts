// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it, type TestContext } from 'node:test'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { NodeFileReader } from '#runtime'

function temporary(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'robustmq-'))
  context.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

it('reads whole files; one that is missing is told by its path', async (context) => {
  const path = join(temporary(context), 'a.pem')
  const reader = new NodeFileReader()
  await assert.rejects(reader.read(path), (error: unknown) => isPlatformError(error, ERROR_CODES.notFound) && error.message.includes(path))
  writeFileSync(path, 'x'.repeat(100_000))
  assert.equal((await reader.read(path)).toString(), 'x'.repeat(100_000))
  writeFileSync(path, '')
  assert.equal((await reader.read(path)).length, 0)
})

it('what is no file of a reasonable size is refused', async (context) => {
  const directory = temporary(context)
  const reader = new NodeFileReader()
  await assert.rejects(reader.read('/dev/zero'), (error: unknown) => isPlatformError(error, ERROR_CODES.tooLarge))
  await assert.rejects(reader.read(directory), (error: unknown) => isPlatformError(error, ERROR_CODES.diskFailed))
})

it('the stamp changes when a file is written, replaced, or reached by another link', async (context) => {
  const directory = temporary(context)
  const [path, other, link] = [join(directory, 'a'), join(directory, 'b'), join(directory, 'link')]
  const reader = new NodeFileReader()
  assert.equal(await reader.stamp(path), undefined)
  writeFileSync(path, 'one')
  writeFileSync(other, 'two')
  utimesSync(path, 1, 1)
  utimesSync(other, 1, 1)
  const first = await reader.stamp(path)
  assert.equal(await reader.stamp(path), first)
  utimesSync(path, 2, 2)
  const second = await reader.stamp(path)
  assert.notEqual(second, first)
  symlinkSync(path, link)
  assert.equal(await reader.stamp(link), second)
  renameSync(other, path)
  assert.notEqual(await reader.stamp(link), second)
})
