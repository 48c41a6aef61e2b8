// SPDX-License-Identifier: Apache-2.0
// From the command line to the exit code: starts that are refused, stops under load, and what a node says of itself (DESIGN 8).
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { IDisconnectPacket } from 'mqtt-packet'
import { fetchText } from './process-figures.ts'
import { assertDelivery, distinctReached, Publisher, readAll, subscribeAndLeave } from './publisher.ts'
import { RawClient } from './raw-client.ts'
import { ServerProcess, temporaryDirectory } from './server-process.ts'

const SERVER_SHUTTING_DOWN = 0x8b

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} under load: clients are told, the exit code is 0, nothing acknowledged is lost, sessions are there again`, async (context) => {
    const directory = temporaryDirectory(context)
    let server = await ServerProcess.start({ directory, context })
    await subscribeAndLeave(server.port, 'reader', 1)
    const publishers = ['p0', 'p1', 'p2'].map((name) => new Publisher(name, { qos: 1 }))
    for (const publisher of publishers) await publisher.connect(server.port)
    const { client: told } = await RawClient.connect(server.port, 'told', { protocolVersion: 5 })
    for (const publisher of publishers) await publisher.untilAcknowledged(2_000)

    const since = performance.now()
    assert.equal(await server.stop(signal), 0)
    context.diagnostic(`stopped in ${(performance.now() - since).toFixed(0)} ms`)
    const goodbye = (await told.untilClosed()).at(-1) as IDisconnectPacket
    assert.deepEqual([goodbye.cmd, goodbye.reasonCode], ['disconnect', SERVER_SHUTTING_DOWN])
    for (const publisher of publishers) await publisher.untilClosed()

    // `finish` and `readAll` ask for Session Present.
    server = await ServerProcess.start({ directory, context })
    for (const publisher of publishers) await publisher.finish(server.port)
    const sent = publishers.reduce((sum, publisher) => sum + publisher.sent, 0)
    assertDelivery(publishers, await readAll(server.port, 'reader', distinctReached(sent)), { qos: 1 })
    assert.equal(await server.stop(), 0)
  })
}

test('SIGTERM a client that reads nothing does not keep the server from stopping', async (context) => {
  const server = await ServerProcess.start({ directory: temporaryDirectory(context), context })
  const { client: deaf } = await RawClient.connect(server.port, 'deaf')
  deaf.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'load/#', qos: 0 }] })
  await deaf.next('suback')
  deaf.stopReading()
  const publisher = new Publisher('p0', { qos: 1, payloadBytes: 10_000 })
  await publisher.connect(server.port)
  await publisher.untilAcknowledged(2_000)
  assert.equal(await server.stop(), 0)
  deaf.destroy()
})

test('SIGTERM right behind clients that leave without a word: their wills and sessions are settled before the logs stop', async (context) => {
  const directory = temporaryDirectory(context)
  let server = await ServerProcess.start({ directory, context })
  await subscribeAndLeave(server.port, 'heir', 1, 'will/#')
  const names = Array.from({ length: 40 }, (_, at) => `leaver${at}`)
  const leavers = await Promise.all(
    names.map((name) => {
      const will = { topic: `will/${name}`, payload: Buffer.from(name), qos: 1 as const, retain: false }
      return RawClient.connect(server.port, name, { will })
    }),
  )
  for (const { client } of leavers) client.destroy()
  assert.equal(await server.stop(), 0)
  assert.doesNotMatch(server.stderr, / (warn|error) /)

  server = await ServerProcess.start({ directory, context })
  const wills = await readAll(server.port, 'heir', (received) => received.length >= names.length)
  assert.deepEqual(wills.map(({ payload }) => payload.toString()).sort(), [...names].sort(), 'each will once')
  assert.equal(await server.stop(), 0)
})

test('SIGTERM while it is starting ends the process cleanly', async (context) => {
  const directory = temporaryDirectory(context)
  const first = await ServerProcess.start({ directory, context })
  assert.equal(await first.stop(), 0)
  const server = await ServerProcess.spawn({ directory, context })
  await server.untilWritten('starting')
  assert.equal(await server.stop(), 0)
  const again = await ServerProcess.start({ directory, context })
  assert.equal(await again.stop(), 0)
})

test('a second process on the same data is refused by name, and the first one does not notice', async (context) => {
  const directory = temporaryDirectory(context)
  const first = await ServerProcess.start({ directory, context })
  const second = await ServerProcess.spawn({ directory, context })
  assert.equal(await second.exited, 1)
  assert.match(second.stderr, /cannot start: another process uses the data in .*: stop it, or give this node a data_path of its own/)
  assert.ok(second.stderr.includes(directory))
  const { client } = await RawClient.connect(first.port, 'still-here')
  client.send({ cmd: 'publish', topic: 't', payload: 'x', qos: 1, dup: false, retain: false, messageId: 1 })
  await client.next('puback')
  client.destroy()
  assert.equal(await first.stop(), 0)
})

for (const port of ['mqtt.tcp_port', 'http_port']) {
  test(`${port} of another program: the start is refused with the address, and the next one with a free port succeeds`, async (context) => {
    const directory = temporaryDirectory(context)
    const squatter = createServer().listen(0, '127.0.0.1')
    await once(squatter, 'listening')
    context.after(() => void squatter.close())
    const { port: taken } = squatter.address() as { port: number }
    const server = await ServerProcess.spawn({ directory, context, settings: [`${port}=${taken}`] })
    assert.equal(await server.exited, 1)
    assert.match(server.stderr, new RegExp(`cannot start: .*127\\.0\\.0\\.1:${taken}.*another process uses it`))
    const again = await ServerProcess.start({ directory, context })
    assert.equal(await again.stop(), 0)
  })
}

/** Keys that are fixed once there is data, with a value that differs from the default in each direction. */
const FIXED: readonly { readonly key: string; readonly first: string; readonly changed: string }[] = [
  { key: 'engine.stripes', first: '4', changed: '8' },
  { key: 'engine.stripes', first: '4', changed: '2' },
  { key: 'meta.data_groups', first: '1', changed: '3' },
  { key: 'meta.data_groups', first: '3', changed: '1' },
  { key: 'meta.offset_groups', first: '1', changed: '3' },
  { key: 'meta.offset_groups', first: '3', changed: '1' },
  { key: 'node_id', first: '1', changed: '2' },
]

for (const { key, first, changed } of FIXED) {
  test(`${key} cannot change from ${first} to ${changed} on existing data: the start is refused, and nothing is lost by the attempt`, async (context) => {
    const directory = temporaryDirectory(context)
    let server = await ServerProcess.start({ directory, context, settings: [`${key}=${first}`] })
    await subscribeAndLeave(server.port, 'reader', 1)
    const publishers = Array.from({ length: 8 }, (_, at) => new Publisher(`p${at}`, { qos: 1 }))
    for (const publisher of publishers) await publisher.connect(server.port)
    for (const publisher of publishers) await publisher.untilAcknowledged(200)
    assert.equal(await server.stop(), 0)

    const refused = await ServerProcess.spawn({ directory, context, settings: [`${key}=${changed}`] })
    const started = await refused.untilReady().then(
      () => true,
      () => false,
    )
    const code = started ? await refused.stop() : await refused.exited

    server = await ServerProcess.start({ directory, context, settings: [`${key}=${first}`] })
    for (const publisher of publishers) await publisher.finish(server.port)
    const sent = publishers.reduce((sum, publisher) => sum + publisher.sent, 0)
    assertDelivery(publishers, await readAll(server.port, 'reader', distinctReached(sent)), { qos: 1 })
    assert.equal(await server.stop(), 0)

    assert.ok(!started, `the node has started with another ${key}`)
    assert.notEqual(code, 0)
    assert.ok(refused.stderr.includes(key), `the message names ${key}: ${refused.stderr}`)
    assert.doesNotMatch(refused.stderr, /AssertionError/)
  })
}

async function runOnce(
  context: TestContext,
  ...words: readonly string[]
): Promise<{ code: number | string; stdout: string; stderr: string }> {
  const run = await ServerProcess.run(words)
  context.after(() => run.kill())
  return { code: await run.exited, stdout: run.stdout, stderr: run.stderr }
}

test('the command line: --version, --help, --check and --print-config say what they know and exit with 0', async (context) => {
  const version = await runOnce(context, '--version')
  assert.equal(version.code, 0)
  assert.match(version.stdout, /^robustmq \d+\.\d+\.\d+\n$/)
  const help = await runOnce(context, '--help')
  assert.equal(help.code, 0)
  for (const option of ['--config', '--set', '--check', '--print-config', '--version', '--help', 'Exit codes']) {
    assert.ok(help.stdout.includes(option), option)
  }
  assert.equal((await runOnce(context, '--check')).code, 0)
  const printed = await runOnce(context, '--print-config', '--set', 'mqtt.tcp_port=2883')
  assert.equal(printed.code, 0)
  assert.match(printed.stdout, /tcp_port.*2883/)
})

test('the command line: what is wrong is named, with exit code 2 and nothing on standard output', async (context) => {
  const cases: readonly (readonly [RegExp, ...string[]])[] = [
    [/--bogus/, '--bogus'],
    [/mqtt\.tcp_prot.*tcp_port/s, '--set', 'mqtt.tcp_prot=1'],
    [/mqtt\.tcp_port.*65535/s, '--set', 'mqtt.tcp_port=70000'],
    [/mqtt\.tcp_port/, '--check', '--set', 'mqtt.tcp_port=x'],
    [/nowhere\.toml/, '--config', '/nowhere.toml'],
    [/--config needs a value/, '--config'],
    [/exclude each other/, '--check', '--print-config'],
  ]
  for (const [expected, ...words] of cases) {
    const { code, stdout, stderr } = await runOnce(context, ...words)
    assert.equal(code, 2, words.join(' '))
    assert.match(stderr, expected)
    assert.equal(stdout, '')
  }
})

test('/health and /metrics tell of a node that serves', async (context) => {
  const server = await ServerProcess.start({ directory: temporaryDirectory(context), context })
  const { client } = await RawClient.connect(server.port, 'one')
  client.send({ cmd: 'publish', topic: 't', payload: 'x', qos: 1, dup: false, retain: false, messageId: 1 })
  await client.next('puback')
  assert.deepEqual(await fetchText(server, '/health/ready'), { status: 200, text: '{"status":"ready"}' })
  assert.deepEqual(await fetchText(server, '/health/live'), { status: 200, text: '{"status":"live"}' })
  assert.equal((await fetchText(server, '/nothing')).status, 404)
  const { status, text } = await fetchText(server, '/metrics')
  assert.equal(status, 200)
  for (const line of [
    'robustmq_connections 1',
    'robustmq_sessions_connected 1',
    'robustmq_messages_received_total 1',
    'robustmq_engine_appended_records_total{storage="segment"} 1',
    /^robustmq_info\{.*node="1".*\} 1$/m,
    /^process_resident_memory_bytes \d+$/m,
  ]) {
    assert.ok(typeof line === 'string' ? text.split('\n').includes(line) : line.test(text), `${line} is in /metrics`)
  }
  assert.match(text, /^# HELP robustmq_connections .+$/m)
  client.destroy()
  assert.equal(await server.stop(), 0)
})
