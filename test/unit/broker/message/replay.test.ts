// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseReplayFrom, replayStarts } from '../../../../src/broker/message/replay.ts'
import { parseRfc3339 } from '../../../../src/broker/message/rfc3339.ts'

describe('RFC 3339 times', () => {
  const VALID = [
    '1970-01-01T00:00:00Z',
    '1985-04-12T23:20:50.52Z',
    '1996-12-19T16:39:57-08:00',
    '2000-02-29T12:00:00.001+05:30',
    '2026-12-31t23:59:59z',
    '1969-07-20 20:17:40Z',
    '0001-01-01T00:00:00Z',
    '9999-12-31T23:59:59.999Z',
  ]
  for (const text of VALID) {
    it(`${text} is the time that it is for the platform`, () => {
      assert.equal(parseRfc3339(text), Date.parse(text.replace(' ', 'T').toUpperCase()))
    })
  }

  it('every day of four centuries', () => {
    for (let day = Date.UTC(1900, 0, 1); day < Date.UTC(2300, 0, 1); day += 86_400_000) {
      const text = new Date(day).toISOString()
      assert.equal(parseRfc3339(text), day, text)
    }
  })

  it('section 5.6: a leap second', () => {
    assert.equal(parseRfc3339('1990-12-31T23:59:60Z'), Date.UTC(1991, 0, 1))
  })

  const INVALID = ['', '2026-01-01', '2026-01-01T00:00:00', '2026-13-01T00:00:00Z', '2026-02-29T00:00:00Z', '1900-02-29T00:00:00Z']
  for (const text of [...INVALID, '2026-01-00T00:00:00Z', '2026-01-01T24:00:00Z', '2026-01-01T00:60:00Z', '2026-01-01T00:00:00+24:00']) {
    it(`'${text}' is none`, () => {
      assert.equal(parseRfc3339(text), undefined)
    })
  }
})

describe('D8: where a replay begins', () => {
  const DURABLE = new Set([0, 1])
  const BEGAN = [
    { log: 0, position: 100 },
    { log: 1, position: 7 },
    { log: 2, position: 50 },
  ]
  const store = {
    extent: (log: number) => ({ first: log === 0 ? 10 : 0, end: 1000 }),
    positionAt: async (log: number, timeMs: number) => log * 5 + timeMs,
  }
  const starts = async (value: string) => {
    const start = parseReplayFrom(value)
    assert.ok(start !== undefined)
    return (await replayStarts(store, DURABLE, start, BEGAN)).map(({ log, position }) => [log, position])
  }

  it('earliest: at the first record that is kept, in the logs that are kept', async () => {
    assert.deepEqual(await starts('earliest'), [
      [0, 10],
      [1, 0],
    ])
  })

  it('latest: where the interest took effect, so that nothing after it is missed', async () => {
    assert.deepEqual(await starts('latest'), [
      [0, 100],
      [1, 7],
    ])
  })

  it('an offset: there in every log, but not before what is kept nor after the interest', async () => {
    assert.deepEqual(await starts('5'), [
      [0, 10],
      [1, 5],
    ])
    assert.deepEqual(await starts('9007199254740991'), [
      [0, 100],
      [1, 7],
    ])
  })

  it('a time: where the log says', async () => {
    assert.deepEqual(await starts('1970-01-01T00:00:00.001Z'), [
      [0, 10],
      [1, 6],
    ])
  })
})
