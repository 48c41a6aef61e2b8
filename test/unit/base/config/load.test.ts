// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parse } from 'smol-toml'
import { type ConfigFile, type ConfigLayers, environmentName, loadConfig } from '#base/config/load'
import { formatProblem } from '#base/config/problem'
import { type Config, keysOf, SCHEMA } from '#base/config/schema'

const file = (text: string): ConfigFile => ({ name: 'config.toml', text, table: parse(text) })

function loaded(layers: ConfigLayers): Config {
  const outcome = loadConfig(layers)
  assert.equal(outcome.kind, 'loaded', outcome.kind === 'refused' ? outcome.problems.map(formatProblem).join('\n') : '')
  return (outcome as { config: Config }).config
}

function refused(layers: ConfigLayers): readonly string[] {
  const outcome = loadConfig(layers)
  assert.equal(outcome.kind, 'refused')
  return outcome.kind === 'refused' ? outcome.problems.map(formatProblem) : []
}

describe('configuration: layers', () => {
  it('nothing at all is a configuration: every key has a default', () => {
    const config = loaded({})
    assert.equal(config.mqtt.tcpPort, 1883)
    assert.equal(config.mqtt.maxPacketSize, 2 * 1024 * 1024)
    assert.equal(config.mqtt.connectTimeout, 15_000)
    assert.equal(config.mqtt.sessionExpiryMax, Number.POSITIVE_INFINITY)
    assert.equal(config.engine.retention.maxAge, 7 * 86_400_000)
    assert.equal(config.mqttOfflineMessage.storeQos0, false)
    assert.deepEqual(config.roles, ['meta', 'broker', 'engine'])
    assert.deepEqual(loaded({ file: file('') }), config)
  })

  it('the file wins over defaults, the environment over the file, --set over all, the last one of them', () => {
    const layers = {
      file: file('node_id = 2\n[mqtt]\nmax_qos = 0\ntcp_port = 1\nreceive_maximum = 7'),
      environment: { ROBUSTMQ_MQTT__MAX_QOS: '1', ROBUSTMQ_MQTT__TCP_PORT: '2', PATH: '/bin' },
      settings: ['mqtt.tcp_port=3', 'mqtt.tcp_port = 4'],
    }
    const config = loaded(layers)
    assert.equal(config.nodeId, 2)
    assert.equal(config.mqtt.receiveMaximum, 7)
    assert.equal(config.mqtt.maxQos, 1)
    assert.equal(config.mqtt.tcpPort, 4)
  })

  it('the environment reaches every key, in the file or not', () => {
    for (const { path, key, names } of keysOf(SCHEMA)) {
      const written = key.format(key.default).replaceAll(/["[\]]/g, '')
      const outcome = loadConfig({ environment: { [environmentName(path)]: written } })
      assert.ok(outcome.kind === 'loaded', path)
      assert.equal(outcome.settings.get(path)?.source.kind, 'environment', path)
      const value = names.reduce<unknown>((inner, name) => (inner as Record<string, unknown>)[name], outcome.config)
      assert.deepEqual(value, key.default, path)
    }
    assert.equal(environmentName('engine.retention.max_age'), 'ROBUSTMQ_ENGINE__RETENTION__MAX_AGE')
  })

  it('variables that Kubernetes sets for a service named robustmq are not configuration', () => {
    loaded({
      environment: {
        ROBUSTMQ_SERVICE_HOST: '10.0.0.1',
        ROBUSTMQ_SERVICE_PORT_MQTT: '1883',
        ROBUSTMQ_PORT: 'tcp://10.0.0.1:1883',
        ROBUSTMQ_PORT_1883_TCP_ADDR: '10.0.0.1',
      },
    })
  })
})

describe('configuration: mistakes', () => {
  it('all of them are told, each with place, key, value and what was expected', () => {
    const text = 'node_id = 0\n\n[mqtt]\nmax_qos = 3\ntcp_port = "1883"\nmax_packet_size = "1MB"\n\n[log]\nlevel = "loud"\n'
    const problems = refused({ file: file(text), environment: { ROBUSTMQ_MQTT__CONNECT_TIMEOUT: '10' }, settings: ['mqtt.bind'] })
    assert.deepEqual(problems, [
      'config.toml:1: node_id = 0: expected an integer from 1 to 65535',
      'config.toml:4: mqtt.max_qos = 3: expected an integer from 0 to 2',
      'config.toml:5: mqtt.tcp_port = "1883": expected an integer from 0 to 65535',
      'config.toml:6: mqtt.max_packet_size = "1MB": expected a size from "1KiB" to "256MiB" (units KiB, MiB, GiB, TiB), or a count of bytes',
      'config.toml:9: log.level = "loud": expected one of "debug", "info", "warn", "error"',
      'ROBUSTMQ_MQTT__CONNECT_TIMEOUT: mqtt.connect_timeout = "10": expected a duration from "100ms" to "10m" (units ms, s, m, h, d)',
      '--set: mqtt.bind = "": expected section.key=value',
    ])
  })

  it('an unknown key is told with the known one it resembles: by spelling, or in another section', () => {
    const problems = refused({
      file: file('tcp_port = 1\n[mqtt]\nmax_qso = 1\n[engine.retention]\nzzz = 1\n[weather]\nsun = true'),
      environment: { ROBUSTMQ_MQTT__MAXQOS: '1', ROBUSTMQ_DATA_PAHT: '/x' },
      settings: ['engine.stripe=1'],
    })
    assert.deepEqual(problems, [
      'config.toml:1: tcp_port = 1: there is no such key, did you mean mqtt.tcp_port?',
      'config.toml:3: mqtt.max_qso = 1: there is no such key, did you mean mqtt.max_qos?',
      'config.toml:5: engine.retention.zzz = 1: there is no such key',
      'config.toml:6: weather = {…}: there is no such key',
      'ROBUSTMQ_DATA_PAHT: data_paht = "/x": there is no such key, did you mean ROBUSTMQ_DATA_PATH?',
      'ROBUSTMQ_MQTT__MAXQOS: mqtt.maxqos = "1": there is no such key, did you mean ROBUSTMQ_MQTT__MAX_QOS?',
      '--set: engine.stripe = "1": there is no such key, did you mean engine.stripes?',
    ])
  })

  it('a mistake in the file is told even where a later layer overrides it', () => {
    assert.equal(refused({ file: file('[mqtt]\nmax_qos = 9'), settings: ['mqtt.max_qos=1'] }).length, 1)
  })

  it('a section that is a value, a value that is a section, names of Object.prototype', () => {
    const problems = refused({ file: file('mqtt = 5\n[node_id]\nx = 1\n[__proto__]\nx = 1\n[constructor]\nname = 1') })
    assert.deepEqual(problems, [
      'config.toml:1: mqtt = 5: expected a section, [mqtt]',
      'config.toml:2: node_id = {…}: expected an integer from 1 to 65535',
      'config.toml:4: __proto__ = {…}: there is no such key',
      'config.toml:6: constructor = {…}: there is no such key',
    ])
  })

  it('roles: a name twice, an unknown name, none', () => {
    for (const roles of ['["meta", "meta"]', '["meta", "brocker"]', '[]', '"meta"']) {
      assert.match(refused({ file: file(`roles = ${roles}`) }).join(), /^config.toml:1: roles = .*: expected a list of different names/)
    }
    assert.deepEqual(loaded({ settings: ['roles=engine, broker,meta'] }).roles, ['meta', 'broker', 'engine'])
  })
})

describe('configuration: relations between keys', () => {
  it('a listener that others can reach needs the decision to let everybody in', () => {
    const exposed = { file: file('[mqtt]\nbind = "0.0.0.0"') }
    assert.match(
      refused(exposed).join(),
      /^config.toml:2: mqtt.bind = "0.0.0.0": expected a loopback address .* security.allow_anonymous = true$/,
    )
    loaded({ ...exposed, settings: ['security.allow_anonymous=true'] })
    loaded({ ...exposed, settings: ['mqtt.tcp_port=0', 'mqtt.ws_port=0'] })
    for (const host of ['localhost', '::1', '127.1.2.3']) loaded({ settings: [`mqtt.bind=${host}`] })
    assert.equal(refused({ settings: ['mqtt.bind=127.0.0.1.example.org'] }).length, 1)
  })

  it('no buffer is smaller than the largest packet', () => {
    const problems = refused({ settings: ['mqtt.max_packet_size=16MiB', 'engine.tail_bytes=2MiB'] })
    assert.deepEqual(problems, [
      'default: mqtt.write_queue_bytes = "8MiB": expected at least mqtt.max_packet_size, which is "16MiB"',
      '--set: engine.tail_bytes = "2MiB": expected at least mqtt.max_packet_size, which is "16MiB"',
    ])
  })

  it('a part of the roles is refused, but for nodes that share metadata and do nothing else', () => {
    assert.match(refused({ settings: ['roles=meta'] }).join(), /^--set: roles = \["meta"\]: expected all three roles/)
    assert.deepEqual(loaded({ settings: ['roles=meta', 'meta_addrs=1=127.0.0.1:1228,2=127.0.0.1:1229'] }).roles, ['meta'])
    assert.match(refused({ settings: ['meta_addrs=1=127.0.0.1:1228'] }).join(), /roles = .*: expected \["meta"\]/)
  })
})
