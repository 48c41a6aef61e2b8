// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parse } from 'smol-toml'
import { ADMISSION_OF_NODE, closedListeners, type ListenerSettings, listenersOf } from '#base/config/listener'
import { loadConfig } from '#base/config/load'
import { formatProblem } from '#base/config/problem'
import type { Config } from '#base/config/schema'

const load = (text: string) => loadConfig({ file: { name: 'c', text, table: parse(text) } })

function config(text: string): Config {
  const outcome = load(text)
  if (outcome.kind === 'refused') return assert.fail(outcome.problems.map(formatProblem).join('\n'))
  return outcome.config
}

const listeners = (text: string): readonly ListenerSettings[] => listenersOf(config(text))
const summary = (text: string): readonly string[] =>
  listeners(text).map(({ name, transport, host, port }) => `${name} ${transport} ${host}:${port}`)

function problems(text: string): readonly string[] {
  const outcome = load(text)
  return outcome.kind === 'refused' ? outcome.problems.map(formatProblem) : []
}

const TLS = '[tls]\ncert = "c.crt"\nkey = "c.key"\n'

describe('listeners', () => {
  it('without any configuration: TCP and WebSocket, and those with TLS wait for a certificate', () => {
    assert.deepEqual(summary(''), ['tcp tcp 127.0.0.1:1883', 'ws ws 127.0.0.1:8083'])
    assert.deepEqual(closedListeners(config('')), ['tls', 'wss'])
    assert.deepEqual(summary('[mqtt]\ntcp_port = 0\nws_port = 0'), [])
  })

  it('with a certificate: all four, each unless its port is 0', () => {
    assert.deepEqual(summary(TLS), ['tcp tcp 127.0.0.1:1883', 'tls tls 127.0.0.1:8883', 'ws ws 127.0.0.1:8083', 'wss wss 127.0.0.1:8084'])
    assert.deepEqual(closedListeners(config(TLS)), [])
    const off = '[mqtt]\ntls_port = 0\nwss_port = 0\n'
    assert.deepEqual(summary(off + TLS), ['tcp tcp 127.0.0.1:1883', 'ws ws 127.0.0.1:8083'])
    assert.deepEqual(closedListeners(config(off)), [])
  })

  it('one that others can reach needs no word of the node when it says itself whether anonymous clients are let in', () => {
    const row = '[[listener]]\nname = "one"\ntransport = "tcp"\nbind = "0.0.0.0"\nport = 1000\n'
    assert.equal(problems(row).length, 1)
    assert.deepEqual(problems(`${row}allow_anonymous = true\n`), [])
    assert.deepEqual(problems(`${row}allow_anonymous = false\n`), [])
    assert.equal(problems(`${row}allow_anonymous = true\nidentity = "cn"\n`).length, 1, 'there are no certificates without TLS')
    assert.equal(problems(`${row}allow_anonymous = true\nauthenticators = ["guess"]\n`).length, 1)
  })

  it('further ones come beside them and take from [mqtt] and [tls] what they leave out', () => {
    const text = `[mqtt]\ntcp_port = 0\nws_port = 0\ntls_port = 0\nwss_port = 0\nws_path = "/w"\nconnections_max = 7\n${TLS}ca = "ca.crt"\nverify_client = "optional"
[[tls.certificates]]\ncert = "d.crt"\nkey = "d.key"
[[listener]]\nname = "one"\ntransport = "wss"\nport = 1000
[[listener]]\nname = "two"\ntransport = "wss"\nbind = "::1"\nport = 2000\npath = "/x"\norigins = ["https://a.example", "null"]\ncert = "e.crt"\nkey = "e.key"\nca = "f.crt"\nverify_client = "required"\nconnections_max = 3
identity = "dn"
allow_anonymous = true
authenticators = ["certificate"]
max_message_rate = 5
max_byte_rate = "2KiB"\n`
    const others = [{ cert: 'd.crt', key: 'd.key' }]
    assert.deepEqual(listeners(text), [
      {
        name: 'one',
        transport: 'wss',
        host: '127.0.0.1',
        port: 1000,
        path: '/w',
        origins: [],
        connectionsMax: 7,
        admission: ADMISSION_OF_NODE,
        maxMessageRate: 0,
        maxByteRate: 0,
        tls: { pair: { cert: 'c.crt', key: 'c.key' }, others, ca: 'ca.crt', verifyClient: 'optional' },
        hostPath: 'mqtt.bind',
      },
      {
        name: 'two',
        transport: 'wss',
        host: '::1',
        port: 2000,
        path: '/x',
        origins: ['https://a.example', 'null'],
        connectionsMax: 3,
        admission: { allowAnonymous: true, identity: 'dn', authenticators: ['certificate'] },
        maxMessageRate: 5,
        maxByteRate: 2048,
        tls: { pair: { cert: 'e.crt', key: 'e.key' }, others, ca: 'f.crt', verifyClient: 'required' },
        hostPath: 'listener[1].bind',
      },
    ])
  })
})

describe('relations between the keys of listeners', () => {
  const row = (lines: string): string => `[[listener]]\nname = "x"\nport = 1000\n${lines}\n`

  it('no listener that others can reach without the decision to let everybody in', () => {
    const exposed = ['[mqtt]\nbind = "0.0.0.0"', '[mqtt]\nbind = "0.0.0.0"\ntcp_port = 0', row('transport = "ws"\nbind = "::"')]
    for (const text of exposed) {
      assert.match(
        problems(text).join('\n'),
        /^c:\d+: (mqtt|listener\[0\])\.bind = "[^"]+": expected a loopback address .*allow_anonymous = true$/,
      )
      config(`${text}\n[security]\nallow_anonymous = true`)
    }
    config('[mqtt]\nbind = "0.0.0.0"\ntcp_port = 0\nws_port = 0')
    config(row('transport = "ws"\nbind = "127.0.0.9"'))
  })

  it('certificate and key come together, and clients are verified against something', () => {
    const wrong = [
      ['[tls]\ncert = "a"', 'c:1: tls.key = "": expected a private key'],
      ['[tls]\nkey = "a"', 'tls.cert = "": expected a certificate'],
      [`${TLS}verify_client = "required"`, 'tls.ca = "": expected a file, because tls.verify_client is "required"'],
      [row('transport = "tls"'), 'listener[0] = {…}: expected cert and key, both here or both in [tls]'],
      [TLS + row('transport = "tls"\ncert = "a"'), 'listener[0] = {…}: expected cert and key, both here or both in [tls]'],
      [TLS + row('transport = "tls"\nverify_client = "optional"'), 'listener[0] = {…}: expected ca, because verify_client is "optional"'],
    ] as const
    for (const [text, expected] of wrong) {
      const found = problems(text)
      assert.equal(found.length, 1, text)
      assert.ok(found[0]?.includes(expected.replace(/^c:1: /, '')), `${found[0]} does not say ${expected}`)
    }
    config(TLS + row('transport = "tls"\nca = "a"\nverify_client = "optional"'))
  })

  it('keys without an effect are refused: somebody believes in them', () => {
    assert.match(problems(row('transport = "tcp"\npath = "/x"')).join(), /neither path nor origins, because "tcp" is no WebSocket/)
    assert.match(problems(TLS + row('transport = "tls"\norigins = ["null"]')).join(), /neither path nor origins/)
    assert.match(problems(row('transport = "ws"\nverify_client = "required"')).join(), /none of cert, key, ca, verify_client and identity/)
  })

  it('names are used once', () => {
    assert.match(
      problems(row('transport = "tcp"') + row('transport = "tcp"')).join(),
      /^c:6: listener\[1\]\.name = "x": expected a name that no other/,
    )
    assert.match(problems('[[listener]]\nname = "wss"\ntransport = "tcp"\nport = 1').join(), /those of \[mqtt\] are tcp, tls, ws and wss/)
  })

  it('paths and origins are as browsers and requests write them', () => {
    for (const path of ['mqtt', '/a b', '/a?b', '/a#b', '']) assert.equal(problems(`[mqtt]\nws_path = "${path}"`).length, 1, path)
    for (const origin of ['https://a.example/', 'a.example', 'https://A.example', '*']) {
      assert.equal(problems(row(`transport = "ws"\norigins = ["${origin}"]`)).length, 1, origin)
    }
    config(row('transport = "ws"\norigins = ["http://localhost:3000", "app://x"]\npath = "/a/b-c"'))
  })
})
