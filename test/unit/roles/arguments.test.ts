// SPDX-License-Identifier: Apache-2.0
// The command line.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { HELP, parseArguments } from '../../../roles/arguments.ts'

const parse = (line: string) => parseArguments(line === '' ? [] : line.split(' '))

describe('arguments', () => {
  it('nothing means: run with defaults', () => {
    assert.deepEqual(parse(''), { kind: 'run', file: undefined, settings: [] })
  })

  it('options may be attached with = or follow, settings keep their order', () => {
    assert.deepEqual(parse('--set a=1 --config c.toml --set=b=2=3'), { kind: 'run', file: 'c.toml', settings: ['a=1', 'b=2=3'] })
    assert.deepEqual(parse('--config=c.toml --check'), { kind: 'check', file: 'c.toml', settings: [] })
    assert.deepEqual(parse('--print-config'), { kind: 'print-config', file: undefined, settings: [] })
  })

  it('help and version', () => {
    for (const line of ['--help', '-h', '--config c.toml --help']) assert.deepEqual(parse(line), { kind: 'help' })
    for (const line of ['--version', '-V']) assert.deepEqual(parse(line), { kind: 'version' })
  })

  it('misuse names the word that is wrong', () => {
    const problems: readonly (readonly [string, string])[] = [
      ['--confg c.toml', '--confg is not an option'],
      ['config.toml', 'config.toml is not an option'],
      ['--config', '--config needs a value'],
      ['--config=', '--config needs a value'],
      ['--set', '--set needs a value'],
      ['--config a --config b', '--config is given twice'],
      ['--check=yes', '--check takes no value'],
      ['--check --print-config', '--check and --print-config exclude each other'],
    ]
    for (const [line, problem] of problems) assert.deepEqual(parse(line), { kind: 'misused', problem })
  })

  it('what follows ctl is its own', () => {
    assert.equal(parse('ctl cluster status --json').kind, 'ctl')
    assert.equal(parse('ctl').kind, 'ctl-misused')
    assert.deepEqual(parse('--config ctl'), { kind: 'run', file: 'ctl', settings: [] })
  })

  it('the help names every option', () => {
    for (const option of ['--config', '--set', '--check', '--print-config', '--version', '--help', 'ctl']) assert.ok(HELP.includes(option))
  })
})
