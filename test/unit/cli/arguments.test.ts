// SPDX-License-Identifier: Apache-2.0
// The command line of `robustmq ctl`.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CTL_USAGE, type CtlCommand, parseCtl } from '#cli'

const parse = (line: string) => parseCtl(line === '' ? [] : line.split(' '))
const DEFAULTS: CtlCommand['options'] = { file: undefined, settings: [], via: undefined, timeoutMs: 60_000, isJson: false }

describe('arguments of ctl', () => {
  it('each command takes its operands, and options stand anywhere', () => {
    const orders: readonly (readonly [string, CtlCommand['order']])[] = [
      ['cluster status', { action: 'status' }],
      ['cluster add 4 10.0.0.4:1228', { action: 'add', node: 4, address: '10.0.0.4:1228' }],
      ['cluster promote 4', { action: 'promote', node: 4 }],
      ['cluster remove 65535', { action: 'remove', node: 65_535 }],
      ['cluster transfer 2', { action: 'transfer', node: 2, group: undefined }],
      ['cluster transfer 2 --group 512', { action: 'transfer', node: 2, group: 512 }],
    ]
    for (const [line, order] of orders) assert.deepEqual(parse(line), { kind: 'ctl', order, options: DEFAULTS })
    assert.deepEqual(parse('--json cluster --config c.toml status --set=a=1 --set b=2 --node 3=h:9 --timeout 5s'), {
      kind: 'ctl',
      order: { action: 'status' },
      options: { file: 'c.toml', settings: ['a=1', 'b=2'], via: { node: 3, address: 'h:9' }, timeoutMs: 5000, isJson: true },
    })
  })

  it('misuse names what is wrong', () => {
    const problems: readonly (readonly [string, RegExp])[] = [
      ['', /needs a command/],
      ['storage', /ctl storage is not a command/],
      ['cluster', /ctl cluster needs a command/],
      ['cluster join', /ctl cluster join is not a command/],
      ['cluster status 3', /takes nothing more/],
      ['cluster add 4', /takes NODE HOST:PORT/],
      ['cluster add 4 nowhere', /takes NODE HOST:PORT/],
      ['cluster add 4 h:70000', /takes NODE HOST:PORT/],
      ['cluster promote', /takes NODE/],
      ['cluster remove 0', /takes NODE/],
      ['cluster remove 65536', /takes NODE/],
      ['cluster remove 3 4', /takes NODE/],
      ['cluster remove 3 --group 1', /--group .* goes with transfer/],
      ['cluster transfer 2 --group all', /--group takes the id/],
      ['cluster status --force', /--force is not an option/],
      ['cluster status --node', /--node needs a value/],
      ['cluster status --node h:1', /--node takes the id/],
      ['cluster status --timeout soon', /--timeout takes a duration/],
      ['cluster status --json --json', /--json is given twice/],
    ]
    for (const [line, problem] of problems) {
      const parsed = parse(line)
      assert.equal(parsed.kind, 'ctl-misused', line)
      assert.match('problem' in parsed ? parsed.problem : '', problem)
    }
  })

  it('the usage names every command and option, and is given on demand', () => {
    assert.deepEqual(parse('cluster --help'), { kind: 'ctl-help' })
    for (const word of ['status', 'add', 'promote', 'remove', 'transfer', '--config', '--set', '--node', '--timeout', '--json', '--group'])
      assert.ok(CTL_USAGE.includes(word), word)
  })
})
