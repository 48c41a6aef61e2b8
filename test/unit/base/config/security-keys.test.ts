// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'smol-toml'
import { type LoadedConfig, loadConfig } from '#base/config/load'
import { formatProblem } from '#base/config/problem'
import { planReload } from '#base/config/reload'
import { renderEffective } from '#base/config/render'

const load = (text: string) => loadConfig({ file: { name: 'config.toml', text, table: parse(text) } })

function loaded(text: string): LoadedConfig {
  const outcome = load(text)
  assert.ok(outcome.kind === 'loaded', JSON.stringify(outcome))
  return outcome
}

function refused(text: string): string {
  const outcome = load(text)
  assert.equal(outcome.kind, 'refused', text)
  return outcome.kind === 'refused' ? outcome.problems.map(formatProblem).join('\n') : ''
}

const USER = '[[security.users]]\nuser_name = "ann"\n'

test('users and rules are read as they are written, in their order', () => {
  const { security } = loaded(`
[security]
acl_default = "deny"
${USER}password = "x"
superuser = true
[[security.acl]]
permission = "deny"
action = "publish"
topics = ["a/%u/#", "%c"]
users = ["ann"]
client_ids = ["c 1"]
ip = ["192.0.2.0/24", "::1"]
qos = [2, 0]
retain = false
[[security.acl]]
permission = "allow"
action = "all"
`).config
  assert.deepEqual(security.users, [{ userName: 'ann', password: 'x', superuser: true }])
  const [first, second] = security.acl
  assert.deepEqual(first, {
    permission: 'deny',
    action: 'publish',
    topics: ['a/%u/#', '%c'],
    users: ['ann'],
    clientIds: ['c 1'],
    ip: ['192.0.2.0/24', '::1'],
    qos: [2, 0],
    retain: false,
  })
  assert.deepEqual(second, { permission: 'allow', action: 'all' })
})

test('a user has one password, and a name of its own', () => {
  assert.match(refused(USER), /security\.users\[0\] = \{…\}: expected either password_hash or password/)
  assert.match(refused(`${USER}password = "x"\npassword_hash = "SCRAM-SHA-256$1"`), /password_hash = "…": expected a hash: scrypt/)
  assert.match(
    refused(`${USER}password = "x"\n${USER}password = "y"`),
    /security\.users\[1\]\.user_name = "ann": expected a name that security\.users\[0\]/,
  )
})

for (const [name, line, expected] of [
  ['permission', 'action = "all"\npermission = "maybe"', /permission = "maybe": expected one of "allow", "deny"/],
  [
    'topics',
    'permission = "allow"\naction = "all"\ntopics = ["a/#/b"]',
    /topics = .*: expected a list of different texts, each a topic filter/,
  ],
  ['an empty list', 'permission = "allow"\naction = "all"\ntopics = []', /topics = \[\]: expected a list/],
  ['ip', 'permission = "allow"\naction = "all"\nip = ["10.0.0.1/8"]', /ip = .*: expected .* CIDR/],
  ['qos', 'permission = "allow"\naction = "all"\nqos = [3]', /qos = \[3\]: expected a list of different integers from 0 to 2/],
  ['retain beside subscribe', 'permission = "deny"\naction = "subscribe"\nretain = true', /acl\[0\]\.retain = true: expected no such key/],
] as const) {
  test(`CVE-2018-12550 a rule that is wrong in ${name} refuses the start`, () =>
    assert.match(refused(`[[security.acl]]\n${line}\n`), expected))
}

test('no secret is in a message, whatever is wrong with its key, nor in what is printed', () => {
  const problems = [
    refused(`${USER}password_hash = "hunter2"`),
    refused(`${USER}pasword = "hunter2"`),
    refused(`${USER}password = ["hunter2"]`),
    refused(`${USER}password = "hunter2"\n${USER}password = "hunter2"`),
  ]
  for (const text of problems) assert.ok(!text.includes('hunter2'), text)
  const printed = renderEffective(loaded(`${USER}password = "hunter2"`).settings)
  assert.match(printed, /user_name = "ann"/)
  assert.match(printed, /password = "…"/)
  assert.ok(!printed.includes('hunter2'))
})

test('users decide whether clients without a name are let in, unless the key is set; a reload decides again', () => {
  const [none, some] = [loaded(''), loaded(`${USER}password = "x"`)]
  assert.deepEqual([none.config.security.allowAnonymous, some.config.security.allowAnonymous], [true, false])
  assert.equal(loaded(`[security]\nallow_anonymous = true\n${USER}password = "x"`).config.security.allowAnonymous, true)
  const allowed = (from: LoadedConfig, to: LoadedConfig): boolean | undefined => {
    const { outcome } = planReload(from, to)
    return outcome.kind === 'loaded' ? outcome.config.security.allowAnonymous : undefined
  }
  assert.deepEqual([allowed(none, some), allowed(some, none)], [false, true])
})

test('with users, a listener may be one that others can reach', () => {
  const exposed = '[mqtt]\nbind = "0.0.0.0"\n'
  assert.match(refused(exposed), /\[\[security\.users\]\]/)
  loaded(`${exposed}${USER}password = "x"`)
})
