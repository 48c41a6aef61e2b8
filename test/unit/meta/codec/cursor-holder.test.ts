// SPDX-License-Identifier: Apache-2.0
// What is read of a stored holder of cursors without decoding it.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ERROR_CODES } from '#base/error-code'
import { encodeHolder, epochOfHolder, holderLists } from '../../../../src/meta/codec/cursor-codec.ts'

describe('a stored holder', () => {
  it('tells its epoch, and which logs it lists', () => {
    const logs = [0, 3, 4, 100, 65_536]
    const bytes = encodeHolder({ epoch: 2 ** 40, logs })
    assert.equal(epochOfHolder(bytes), 2 ** 40)
    for (const log of logs) assert.equal(holderLists(bytes, log), true)
    for (const log of [1, 2, 5, 99, 101, 65_537]) assert.equal(holderLists(bytes, log), false)
    assert.equal(holderLists(encodeHolder({ epoch: 1, logs: [] }), 0), false)
  })

  it('R55 of an unknown version is not read', () => {
    const bytes = encodeHolder({ epoch: 1, logs: [] })
    bytes[0] = 9
    assert.throws(() => epochOfHolder(bytes), { code: ERROR_CODES.dataVersion })
  })
})
