// SPDX-License-Identifier: Apache-2.0
// Log lines: form, level, scope, and what hostile values cannot do to them.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Clock } from '#base/port/clock'
import { JsonLogger, type LoggerOptions } from '#runtime'

const CLOCK: Clock = {
  monotonic: () => 0,
  realtime: () => 1_700_000_000_123,
  after: () => assert.fail('a logger sets no timer'),
  endOfTurn: () => assert.fail('a logger waits for nothing'),
}

function capture(options: LoggerOptions): { readonly lines: string[]; readonly logger: JsonLogger } {
  const lines: string[] = []
  return { lines, logger: JsonLogger.open(CLOCK, (line) => lines.push(line), options) }
}

describe('JsonLogger', () => {
  it('json: one object a line, fields under their own key', () => {
    const { lines, logger } = capture({ level: 'info', format: 'json' })
    logger.scope('broker').scope('mqtt').log('warn', 'slow "client"', { level: 'fake', bytes: 7, gone: undefined })
    logger.log('info', 'plain')
    assert.deepEqual(lines, [
      '{"time":"2023-11-14T22:13:20.123Z","level":"warn","scope":"broker.mqtt","message":"slow \\"client\\"","fields":{"level":"fake","bytes":7}}\n',
      '{"time":"2023-11-14T22:13:20.123Z","level":"info","scope":"","message":"plain"}\n',
    ])
  })

  it('text: one line, values quoted unless they are plain', () => {
    const { lines, logger } = capture({ level: 'debug', format: 'text' })
    logger.scope('node').log('debug', 'started', { address: '127.0.0.1:1883', ok: true, client: 'a b=c', gone: undefined })
    assert.deepEqual(lines, ['2023-11-14T22:13:20.123Z debug node: started address=127.0.0.1:1883 ok=true client="a b=c"\n'])
  })

  it('a value with a line break cannot fake a line', () => {
    for (const format of ['text', 'json'] as const) {
      const { lines, logger } = capture({ level: 'info', format })
      logger.log('info', 'one\ntwo', { client: 'x\n2023-11-14T22:13:20.123Z error fake' })
      assert.equal(lines.join('').split('\n').length, 2, format)
    }
  })

  it('lines below the level are dropped, in scopes too', () => {
    const { lines, logger } = capture({ level: 'warn', format: 'text' })
    for (const level of ['debug', 'info', 'warn', 'error'] as const) logger.scope('s').log(level, level)
    assert.equal(lines.length, 2)
  })

  it('another level holds for scopes that were made before', () => {
    const { lines, logger } = capture({ level: 'warn', format: 'text' })
    const scope = logger.scope('s')
    logger.setLevel('debug')
    scope.log('debug', 'now')
    logger.setLevel('error')
    scope.log('warn', 'no more')
    assert.equal(lines.length, 1)
  })
})
