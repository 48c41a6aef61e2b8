// SPDX-License-Identifier: Apache-2.0
// The keys of a cluster, and what must hold between them (DESIGN 5, 7).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parse } from 'smol-toml'
import { loadConfig } from '#base/config/load'
import { formatProblem } from '#base/config/problem'
import { renderEffective } from '#base/config/render'

const META = 'roles = ["meta"]\n'
const TWO = 'roles = ["meta"]\nmeta_addrs = { 2 = "db.example:1229", 1 = "127.0.0.1:1228" }'

const load = (text: string, settings: readonly string[] = [], environment = {}) =>
  loadConfig({ file: { name: 'c.toml', text, table: parse(text) }, settings, environment })

function loaded(...layers: Parameters<typeof load>) {
  const outcome = load(...layers)
  assert.ok(outcome.kind === 'loaded', JSON.stringify(outcome))
  return outcome
}

function problems(...layers: Parameters<typeof load>): readonly string[] {
  const outcome = load(...layers)
  assert.ok(outcome.kind === 'refused')
  return outcome.problems.map(formatProblem)
}

describe('configuration of a cluster', () => {
  const nodes = [
    { node: 1, address: '127.0.0.1:1228' },
    { node: 2, address: 'db.example:1229' },
  ]

  it('meta_addrs is a table in the file, and a list of pairs for the environment and the command line', () => {
    assert.deepEqual(loaded('').config.metaAddrs, [])
    assert.deepEqual(loaded(TWO).config.metaAddrs, nodes)
    assert.deepEqual(loaded('roles = ["meta"]\n[meta_addrs]\n1 = "127.0.0.1:1228"\n2 = "db.example:1229"').config.metaAddrs, nodes)
    assert.deepEqual(loaded(META, ['meta_addrs=2=db.example:1229, 1=127.0.0.1:1228']).config.metaAddrs, nodes)
    assert.deepEqual(loaded(META, [], { ROBUSTMQ_META_ADDRS: '1=127.0.0.1:1228,2=db.example:1229' }).config.metaAddrs, nodes)
    assert.deepEqual(loaded(TWO, ['meta_addrs=', 'roles=meta,broker,engine']).config.metaAddrs, [])
    assert.deepEqual(loaded(`${META}meta_addrs = { 1 = "[::1]:1228" }`).config.metaAddrs, [{ node: 1, address: '[::1]:1228' }])
  })

  it('what meta_addrs is printed as can be read again', () => {
    const line = renderEffective(loaded(TWO).settings)
      .split('\n')
      .find((each) => each.startsWith('meta_addrs'))
    assert.deepEqual(loaded(`${META}${line}`).config.metaAddrs, nodes)
  })

  for (const wrong of [
    '"x"',
    '[]',
    '{ 0 = "a:1" }',
    '{ 70000 = "a:1" }',
    '{ x = "a:1" }',
    '{ 1 = "a" }',
    '{ 1 = "a:0" }',
    '{ 1 = "a:70000" }',
    '{ 1 = 5 }',
  ])
    it(`meta_addrs = ${wrong} is refused`, () =>
      assert.match(problems(`meta_addrs = ${wrong}`)[0] ?? '', /meta_addrs.*a table of node ids/))

  for (const wrong of ['1', '1=a:1,1=b:1', '1=a:1,2=a:1', '1=a:1=2', '=a:1'])
    it(`--set meta_addrs=${wrong} is refused`, () =>
      assert.match(problems('', [`meta_addrs=${wrong}`])[0] ?? '', /meta_addrs.*a table of node ids/))

  it('a node is among those that make the cluster, unless it joins', () => {
    assert.match(problems(`node_id = 3\n${TWO}`)[0] ?? '', /node_id = 3: expected one of those in meta_addrs, or join = true/)
    loaded(`node_id = 3\njoin = true\n${TWO}`)
    assert.match(problems('join = true')[0] ?? '', /join = true: expected false, or meta_addrs/)
  })

  it('a node that other machines can reach has a secret or certificates', () => {
    const open = `node_ip = "10.0.0.1"\n${TWO}\n`
    assert.match(problems(open)[0] ?? '', /cluster.secret = "": expected a secret, or tls_cert.*node_ip, which is "10.0.0.1"/)
    loaded(`${open}[cluster]\nsecret = "0123456789abcdef"`)
    loaded(`${open}[cluster]\ntls_cert = "a"\ntls_key = "b"\ntls_ca = "c"`)
    loaded('node_ip = "10.0.0.1"')
    assert.equal(problems('[cluster]\ntls_cert = "a"').length, 2)
  })

  it('the secret is shown to nobody, also when it is refused', () => {
    const kept = 'abcdefghijklmnop'
    assert.doesNotMatch(renderEffective(loaded(`[cluster]\nsecret = "${kept}"`).settings), new RegExp(kept))
    const refused = problems('[cluster]\nsecret = "too short"')[0] ?? ''
    assert.match(refused, /16 to 256 characters/)
    assert.doesNotMatch(refused, /too short/)
  })

  it('R16 an election waits for at least ten heartbeats', () => {
    assert.match(problems('[meta]\nheartbeat_interval = "200ms"')[0] ?? '', /meta.election_timeout.*at least ten times.*"2s"/)
    const { meta } = loaded('[meta]\nheartbeat_interval = "10ms"\nelection_timeout = "100ms"').config
    assert.deepEqual([meta.heartbeatInterval, meta.electionTimeout], [10, 100])
  })
})
