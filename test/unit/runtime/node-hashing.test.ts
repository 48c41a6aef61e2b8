// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { NodeHashing } from '#runtime'

const COST = { rounds: 1024, blockSize: 8, parallel: 1 }
const derive = (hashing: NodeHashing): Promise<Buffer> => hashing.scrypt(Buffer.from('p'), Buffer.from('s'), COST, 32)

test('beyond the derivations that run and those that wait, the next is refused; later ones are not', async () => {
  const hashing = new NodeHashing(3)
  const taken = Array.from({ length: 7 }, () => derive(hashing))
  await assert.rejects(derive(hashing), (error) => isPlatformError(error, ERROR_CODES.quotaExceeded))
  const keys = await Promise.all(taken)
  assert.equal(new Set(keys.map((key) => key.toString('hex'))).size, 1)
  assert.deepEqual(await derive(hashing), keys[0])
})

test('a derivation that fails makes room for the next', async () => {
  const hashing = new NodeHashing(1)
  for (let at = 0; at < 8; at++) await assert.rejects(hashing.pbkdf2(Buffer.from('p'), Buffer.from('s'), 0, 'sha256'))
  assert.equal((await derive(hashing)).length, 32)
})

test('the loop turns while a password is derived', async () => {
  const hashing = new NodeHashing(1)
  let turns = 0
  let isDone = false
  const turn = (): void => {
    turns++
    if (!isDone) setImmediate(turn)
  }
  turn()
  await hashing.scrypt(Buffer.from('p'), Buffer.from('s'), { rounds: 32_768, blockSize: 8, parallel: 1 }, 32)
  isDone = true
  assert.ok(turns > 2, `the loop turned ${turns} times`)
})

test('comparison takes bytes of any length', () => {
  const hashing = new NodeHashing(1)
  assert.equal(hashing.isEqual(Buffer.from('a'), Buffer.from('a')), true)
  assert.equal(hashing.isEqual(Buffer.from('a'), Buffer.from('b')), false)
  assert.equal(hashing.isEqual(Buffer.from('a'), Buffer.from('ab')), false)
})
