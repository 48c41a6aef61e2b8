// SPDX-License-Identifier: Apache-2.0
// Users and access rules on a real node, and what a change of them does to those who are connected, were connected, or have something under way (Q22).
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { connectAsync } from 'mqtt'
import { Client } from '../conformance/harness/client.ts'
import { type ConnectFields, encodeConnect, encodePublish, PINGREQ, type Properties } from '../conformance/harness/wire.ts'
import { Authority, withoutOpenssl } from './certificates.ts'
import { freePort, ServerProcess, temporaryDirectory } from './server-process.ts'

const EXECUTABLE = fileURLToPath(new URL('../../roles/robustmq.cjs', import.meta.url))
const PERSISTENT: Properties = [['sessionExpiry', 600]]

const USERS = `
[[security.users]]
user_name = "ann"
password = "ann's own"
[[security.users]]
user_name = "bob"
password = "bob's own"
`

const rule = (permission: 'allow' | 'deny', action: 'publish' | 'subscribe' | 'all', ...topics: readonly string[]): string => `
[[security.acl]]
permission = "${permission}"
action = "${action}"
topics = [${topics.map((topic) => `"${topic}"`).join(', ')}]
`

const start = (context: TestContext, config: string): Promise<ServerProcess> =>
  ServerProcess.start({ directory: temporaryDirectory(context), config, context })

async function open(server: ServerProcess, clientId: string, fields: ConnectFields = {}): Promise<Client> {
  const client = await Client.open(server.port, fields.version ?? 5)
  client.send(encodeConnect({ clientId, ...fields }))
  return client
}

async function connect(server: ServerProcess, clientId: string, fields: ConnectFields = {}): Promise<Client> {
  const client = await open(server, clientId, fields)
  const connack = await client.next('connack')
  assert.equal(connack.reasonCode, 0, `${clientId} was refused`)
  return client
}

/** Logs in as the user whose password is "<name>'s own". */
const as = (userName: string, fields: ConnectFields = {}): ConnectFields => ({ userName, password: `${userName}'s own`, ...fields })

suite('access rules', () => {
  test('a message that may not be published is dropped, and the client is told as well as its version can', async (context) => {
    const server = await start(context, rule('deny', 'publish', 'closed/#'))
    const watcher = await connect(server, 'watcher')
    await watcher.subscribe('#', 0)
    const [v5, v4] = [await connect(server, 'v5'), await connect(server, 'v4', { version: 4 })]
    for (const qos of [0, 1, 2]) {
      assert.equal(await v5.publish('closed/v5', 'no', { qos }), qos === 0 ? 0 : 0x87)
      assert.equal(await v4.publish('closed/v4', 'no', { qos }), 0)
      assert.equal(await v5.publish('open', `yes ${qos}`, { qos }), 0)
    }
    const payloads = (await watcher.receiveUntil('yes 2')).map(({ payload }) => payload)
    assert.deepEqual(payloads.sort(), ['yes 0', 'yes 1', 'yes 2'])
    await server.reload(`[security]\ndenied_publish = "disconnect"\n${rule('deny', 'publish', 'closed/#')}`)
    v4.send(encodePublish(4, { topic: 'closed/v4', qos: 0 }))
    await v4.untilClosed()
    assert.equal(await v5.publish('closed/v5', 'no', { qos: 1 }), 0x87)
  })

  test('a topic alias leads to no topic that may not be published', async (context) => {
    const server = await start(context, rule('deny', 'publish', 'closed/#'))
    const client = await connect(server, 'client')
    assert.equal(await client.publish('closed/a', 'no', { qos: 1, properties: [['topicAlias', 1]] }), 0x87)
    assert.equal(await client.publish('', 'no', { qos: 1, properties: [['topicAlias', 1]] }), 0x87)
    assert.equal(await client.publish('open', 'yes', { qos: 1, properties: [['topicAlias', 1]] }), 0)
    assert.equal(await client.publish('', 'yes', { qos: 1, properties: [['topicAlias', 1]] }), 0)
  })

  test('MQTT-4.7.2 nobody but the server publishes to $SYS', async (context) => {
    const server = await start(context, '')
    const client = await connect(server, 'client')
    assert.equal(await client.publish('$SYS/broker/version', 'mine', { qos: 1 }), 0x87)
    const dying = await open(server, 'dying', { will: { topic: '$SYS/broker/version' } })
    assert.equal(await dying.closeReason(), 0x87)
  })

  test('MQTT-3.9.3 a filter that may not be subscribed to gets 0x87, in 3.1.1 0x80; what is allowed beside it is granted', async (context) => {
    const server = await start(context, `${rule('deny', 'subscribe', 'closed/+')}${rule('allow', 'subscribe', '#')}`)
    const filters = ['open/#', 'closed/a', '+/a', '#', '$share/g/closed/a', '$share/g/open/a'].map((filter) => ({ filter, options: 1 }))
    const granted = await (await connect(server, 'v5')).subscribe(filters)
    assert.deepEqual(granted, [1, 0x87, 0x87, 0x87, 0x87, 1])
    const [open = 0, closed = 0] = await (await connect(server, 'v4', { version: 4 })).subscribe(filters.slice(0, 2))
    assert.deepEqual([open, closed], [1, 0x80])
  })

  test('GHSA-4cmx-hrq9-c23p a will that its client may not publish is refused at CONNECT', async (context) => {
    const server = await start(context, rule('deny', 'publish', 'closed/#'))
    const will = { topic: 'closed/will' }
    assert.equal(await (await open(server, 'v5', { will })).closeReason(), 0x87)
    assert.equal(await (await open(server, 'v4', { version: 4, will })).closeReason(), 5)
    await connect(server, 'open', { will: { topic: 'open/will' } })
  })

  test('%u is the name that was proven, and a name that nobody vouches for is none', async (context) => {
    const acl = `${rule('allow', 'publish', 'of/%u')}${rule('deny', 'publish', '#')}`
    const server = await start(context, `${USERS}${acl}`)
    const ann = await connect(server, 'one', as('ann'))
    assert.deepEqual([await ann.publish('of/ann', '', { qos: 1 }), await ann.publish('of/bob', '', { qos: 1 })], [0, 0x87])
    const anyone = await start(context, acl)
    const pretender = await connect(anyone, 'one', as('ann'))
    assert.equal(await pretender.publish('of/ann', '', { qos: 1 }), 0x87)
  })
})

suite('a change while clients are connected', () => {
  test('Q22 who loses a subscription is disconnected, and takes up its session without it: what waited for it is not delivered', async (context) => {
    const server = await start(context, '')
    const fields: ConnectFields = { cleanStart: false, properties: PERSISTENT }
    const reader = await connect(server, 'reader', fields)
    const bystander = await connect(server, 'bystander')
    await bystander.subscribe('kept/#', 0)
    assert.deepEqual(
      await reader.subscribe([
        { filter: 'lost/#', options: 1 },
        { filter: 'kept/#', options: 1 },
      ]),
      [1, 1],
    )
    const writer = await connect(server, 'writer')
    await writer.publish('lost/1', 'in flight, not acknowledged', { qos: 1 })
    assert.equal((await reader.take('publish')).topic, 'lost/1')

    await server.reload(rule('deny', 'subscribe', 'lost/#'))
    assert.equal(await reader.closeReason(), 0x87)
    assert.equal(bystander.closed, false)
    await writer.publish('lost/2', 'while away', { qos: 1 })
    await writer.publish('kept/2', 'while away', { qos: 1 })

    const back = await open(server, 'reader', fields)
    assert.equal((await back.next('connack')).sessionPresent, true)
    await writer.publish('lost/3', 'live', { qos: 1 })
    await writer.publish('kept/3', 'live', { qos: 1 })
    const topics: string[] = []
    while (topics.at(-1) !== 'kept/3') topics.push((await back.receive()).topic)
    assert.deepEqual(topics, ['kept/2', 'kept/3'])
    assert.deepEqual(await back.subscribe('lost/#', 1), [0x87])
  })

  test('Q22 the right to publish is lost, and given, with the next message', async (context) => {
    const server = await start(context, '')
    const writer = await connect(server, 'writer')
    assert.equal(await writer.publish('a', '', { qos: 1 }), 0)
    await server.reload(rule('deny', 'publish', 'a'))
    assert.equal(await writer.publish('a', '', { qos: 1 }), 0x87)
    await server.reload('')
    assert.equal(await writer.publish('a', '', { qos: 1 }), 0)
  })

  test('Q22 a user who is removed is disconnected with 0x87, one whose password is changed with 0x98, others stay', async (context) => {
    const server = await start(context, `${USERS}\n[[security.users]]\nuser_name = "cid"\npassword = "cid's own"\n`)
    const [ann, bob, cid] = [
      await connect(server, 'a', as('ann')),
      await connect(server, 'b', as('bob')),
      await connect(server, 'c', as('cid')),
    ]
    await server.reload(USERS.replace("bob's own", 'changed'))
    assert.equal(await cid.closeReason(), 0x87)
    assert.equal(await bob.closeReason(), 0x98)
    ann.send(PINGREQ)
    await ann.take('pingresp')
    assert.equal(await (await open(server, 'b', as('bob'))).closeReason(), 0x86)
    await connect(server, 'b', as('bob', { password: 'changed' }))
  })

  test('Q22 clients without a name are disconnected when the first user is configured', async (context) => {
    const server = await start(context, '')
    const nameless = await connect(server, 'nameless')
    await server.reload(USERS)
    assert.equal(await nameless.closeReason(), 0x87)
  })

  test('CVE-2017-7652 rules that cannot be read change nothing: the old ones stay in force', async (context) => {
    const server = await start(context, `${USERS}${rule('deny', 'all', 'closed')}`)
    const ann = await connect(server, 'a', as('ann'))
    const broken = [
      `${USERS}\n[[security.acl]]\npermission = "maybe"\naction = "all"\n`,
      '[[security.users]]\nuser_name = "ann"\n',
      'this is no TOML',
      '',
    ]
    for (const config of broken.slice(0, 3)) {
      await server.reload(config)
      assert.equal(await ann.publish('closed', '', { qos: 1 }), 0x87, config)
      assert.equal(await (await open(server, 'eve')).closeReason(), 0x87, config)
    }
  })

  test('Q22 a will is not fired when its author may no longer publish it', async (context) => {
    const server = await start(context, USERS)
    const watcher = await connect(server, 'watcher', as('bob'))
    await watcher.subscribe('wills/#', 1)
    const will = (topic: string): ConnectFields => ({ will: { topic, qos: 1, properties: [['willDelay', 1]] }, properties: PERSISTENT })
    const [lost, kept] = [
      await connect(server, 'lost', as('ann', will('wills/lost'))),
      await connect(server, 'kept', as('ann', will('wills/kept'))),
    ]
    lost.destroy()
    kept.destroy()
    await server.reload(`${USERS}${rule('deny', 'publish', 'wills/lost')}`)
    assert.equal((await watcher.receive()).topic, 'wills/kept')
    assert.deepEqual(
      (await watcher.drain()).filter(({ type }) => type === 'publish'),
      [],
    )
  })

  test('Q22 who gave a will is known after a crash: it is fired by the rules of then', async (context) => {
    const directory = temporaryDirectory(context)
    const first = await ServerProcess.start({ directory, config: USERS, context })
    for (const name of ['ann', 'bob']) {
      const reader = await connect(first, `reader of ${name}`, as(name, { cleanStart: false, properties: PERSISTENT }))
      await reader.subscribe(`wills/${name}`, 1)
      await connect(first, name, as(name, { will: { topic: `wills/${name}`, qos: 1, payload: 'gone' } }))
    }
    await first.kill()
    const acl = `[[security.acl]]\npermission = "deny"\naction = "publish"\nusers = ["bob"]\n`
    const second = await ServerProcess.start({ directory, config: `${USERS}${acl}`, context })
    const annReader = await connect(second, 'reader of ann', as('ann', { cleanStart: false, properties: PERSISTENT }))
    assert.equal((await annReader.receive()).payload, 'gone')
    const bobReader = await connect(second, 'reader of bob', as('bob', { cleanStart: false, properties: PERSISTENT }))
    const writer = await connect(second, 'writer', as('ann'))
    await writer.publish('wills/bob', 'the end', { qos: 1 })
    assert.equal((await bobReader.receive()).payload, 'the end')
  })
})

suite('client certificates', { skip: withoutOpenssl }, () => {
  test('the common name of a verified certificate is the user name: no password, rules for it, its will, and no more when the setting goes', async (context) => {
    const directory = temporaryDirectory(context)
    const authority = new Authority(directory)
    const [own, meter] = [authority.issue('server'), authority.issue('client', { subject: '/O=Example/CN=meter-7' })]
    const port = await freePort()
    const acl = `${rule('allow', 'publish', 'of/%u')}${rule('deny', 'publish', '#')}`
    const tls = `\n[tls]\ncert = "${own.cert}"\nkey = "${own.key}"\nca = "${authority.cert}"\nverify_client = "optional"\n`
    const config = (identity: string): string => `[security]\nallow_anonymous = true\n${USERS}${acl}${tls}identity = "${identity}"\n`
    const server = await ServerProcess.start({ directory, config: config('cn'), settings: [`mqtt.tls_port=${port}`], context })
    const watcher = await connect(server, 'watcher')
    await watcher.subscribe('of/#', 1)

    const pair = { cert: readFileSync(meter.cert), key: readFileSync(meter.key) }
    const options = { protocol: 'mqtts', port, ca: readFileSync(authority.cert), protocolVersion: 5, reconnectPeriod: 0 } as const
    const will = { topic: 'of/meter-7', payload: Buffer.from('gone'), qos: 1 } as const
    const client = await connectAsync({ ...options, ...pair, clientId: 'm', will })
    client.on('error', () => undefined)
    await client.publishAsync('of/meter-7', 'mine', { qos: 1 })
    await assert.rejects(client.publishAsync('of/ann', 'not mine', { qos: 1 }), /Not authorized/)
    assert.equal((await watcher.receive()).payload, 'mine')

    const ended = new Promise<void>((resolve) => client.once('close', () => resolve()))
    await server.reload(config('cn').replace('allow_anonymous = true', 'allow_anonymous = true\nlogin_attempts_max = 9'))
    await client.publishAsync('of/meter-7', 'still here', { qos: 1 })
    assert.equal((await watcher.receive()).payload, 'still here')
    await server.reload(config('none'))
    await ended
    await assert.rejects(connectAsync({ ...options, ...pair, clientId: 'm', username: 'meter-7' }), /Bad User Name or Password/i)
    assert.deepEqual(
      (await watcher.drain()).filter(({ type }) => type === 'publish'),
      [],
    )
  })
})

suite('passwords', () => {
  const run = (
    words: readonly string[],
    input: string,
  ): { readonly stdout: string; readonly stderr: string; readonly status: number | null } =>
    spawnSync(process.execPath, [EXECUTABLE, ...words], { input, encoding: 'utf8' })

  for (const form of ['scrypt', 'scram-sha-256', 'scram-sha-512']) {
    test(`robustmq --hash-password=${form} makes a hash with which the user logs in`, async (context) => {
      const { stdout, status } = run([`--hash-password=${form}`], "ann's own\n")
      assert.equal(status, 0)
      const server = await start(context, `[[security.users]]\nuser_name = "ann"\n${stdout}`)
      await connect(server, 'a', as('ann'))
      assert.equal(await (await open(server, 'a', as('ann', { password: 'another' }))).closeReason(), 0x86)
    })
  }

  test('an empty password and an unknown form are refused', () => {
    assert.equal(run(['--hash-password'], '\n').status, 2)
    assert.equal(run(['--hash-password=md5'], 'x').status, 2)
  })

  test('clients beyond those whose passwords may wait are told that the server is busy, and are let in later', async (context) => {
    const { stdout } = run(['--hash-password'], "ann's own\n")
    const config = `[security]\npassword_queue_max = 1\n[[security.users]]\nuser_name = "ann"\n${stdout}`
    const server = await start(context, config)
    const clients = await Promise.all(Array.from({ length: 40 }, () => Client.open(server.port, 5)))
    for (const [at, client] of clients.entries()) client.send(encodeConnect({ clientId: `c${at}`, ...as('ann') }))
    const reasons = await Promise.all(clients.map(async (client) => (await client.next('connack')).reasonCode))
    assert.deepEqual([...new Set(reasons)].sort(), [0, 0x89])
    await connect(server, 'later', as('ann'))
  })

  test('no password is printed, logged or told: not by a node, not by the messages about a mistake', async (context) => {
    const server = await start(context, USERS)
    await connect(server, 'a', as('ann'))
    await (await open(server, 'a', as('ann', { password: 'a wrong guess' }))).untilClosed()
    await server.reload(USERS.replace('password = "bob\'s own"', 'pasword = "bob\'s own"'))
    const written = server.stdout + server.stderr
    assert.match(written, /plain text/)
    assert.match(written, /pasword/)
    for (const secret of ["ann's own", "bob's own", 'a wrong guess']) assert.ok(!written.includes(secret), written)
  })
})
