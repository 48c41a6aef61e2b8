// SPDX-License-Identifier: Apache-2.0
// UTF-8 on the bytes, against the decoder of the platform; variable byte integers.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hasWildcardByte, isText, levelCount } from '../../../../../src/broker/protocol/mqtt/text.ts'
import { readVariableInteger, variableIntegerSize, writeVariableInteger } from '../../../../../src/broker/protocol/mqtt/variable-integer.ts'

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function isTextByPlatform(bytes: Buffer): boolean {
  try {
    return !strict.decode(bytes).includes('\u0000')
  } catch {
    return false
  }
}

const EDGES = [
  0x00, 0x01, 0x2b, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1,
  0xf3, 0xf4, 0xf5, 0xff,
]

test('[MQTT-1.5.4-1] well-formed is what the platform decodes, for every sequence of edge bytes', () => {
  const compare = (sequence: readonly number[]) => {
    const bytes = Buffer.from(sequence)
    if (isText(bytes, 0, bytes.length) !== isTextByPlatform(bytes)) assert.fail(`platform and reader differ on ${bytes.toString('hex')}`)
    if (sequence.length === 4 || (sequence.length === 3 && (sequence[0] as number) < 0xe0)) return
    for (const next of EDGES) compare([...sequence, next])
  }
  for (const first of EDGES) compare([first])
})

test('Every code point is text but U+0000 and the surrogates', () => {
  for (let point = 0; point <= 0x10ffff; point += point < 0x3000 ? 1 : 61) {
    const isSurrogate = point >= 0xd800 && point <= 0xdfff
    if (isSurrogate) continue
    const bytes = Buffer.from(String.fromCodePoint(point))
    assert.equal(isText(bytes, 0, bytes.length), point !== 0, point.toString(16))
  }
})

test('Wildcards and levels are counted in bytes', () => {
  const filter = Buffer.from('xa/é/+x')
  assert.equal(levelCount(filter, 1, filter.length - 1), 3)
  assert.equal(hasWildcardByte(filter, 1, filter.length - 1), true)
  assert.equal(hasWildcardByte(filter, 1, filter.length - 2), false)
})

test('[MQTT-1.5.5-1] variable byte integers are read in their shortest form only', () => {
  const into = Buffer.alloc(8)
  for (const value of [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455]) {
    const end = writeVariableInteger(into, value, 1)
    assert.equal(end - 1, variableIntegerSize(value))
    assert.equal(readVariableInteger(into, 1, end), value)
    assert.equal(readVariableInteger(into, 1, end - 1), -1, 'cut off')
    // The same with a byte more than it needs.
    into[end - 1] = (into[end - 1] as number) | 0x80
    into[end] = 0
    assert.equal(readVariableInteger(into, 1, end + 1), -1, 'padded')
  }
  assert.equal(readVariableInteger(Buffer.from('ffffffff7f', 'hex'), 0, 5), -1)
  assert.equal(readVariableInteger(Buffer.from('ffffffff', 'hex'), 0, 4), -1)
})
