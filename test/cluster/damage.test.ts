// SPDX-License-Identifier: Apache-2.0
// Bytes on the disk that are not what was written: the node refuses to start and says why, or it serves everything that was acknowledged.
// Never less, and never something else (RELIABILITY R45, STYLE E6).
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { IPublishPacket } from 'mqtt-packet'
import {
  copyData,
  type Damage,
  describeDamage,
  type FileKind,
  filesByKind,
  inflict,
  logIsMarked,
  SeededRandom,
  sampleDamages,
} from './damage.ts'
import { fetchText } from './process-figures.ts'
import { assertDelivery, Publisher, subscribeAndLeave } from './publisher.ts'
import { RawClient } from './raw-client.ts'
import { ServerProcess, temporaryDirectory } from './server-process.ts'

/** The same damages in every run; DAMAGE_SEED=n tries others. */
const SEED = Number(process.env['DAMAGE_SEED'] ?? 1)
const RETAINED_COUNT = 50
/** Retained messages come in the order of their topics, so when this one has come, nothing more can come before it. */
const RETAINED_END = 'kept/end'

interface Content {
  readonly directory: string
  /** Of the node that wrote it. */
  readonly settings: readonly string[]
  readonly publishers: readonly Publisher[]
}

interface Shape {
  readonly payloadBytes: number
  /** Messages of each publisher, in each of two lives of the server. */
  readonly messages: number
  readonly settings: readonly string[]
  readonly ending: 'killed' | 'stopped'
}

/** Retained messages, a persistent session with a backlog, tables and logs. */
async function writeContent(
  context: TestContext,
  directory: string,
  { payloadBytes, messages, settings, ending }: Shape,
): Promise<Content> {
  let server = await ServerProcess.start({ directory, settings, context })
  await subscribeAndLeave(server.port, 'reader', 1)
  const { client } = await RawClient.connect(server.port, 'retainer')
  for (let at = 1; at <= RETAINED_COUNT; at++) {
    client.send({ cmd: 'publish', topic: `kept/${at}`, payload: `value ${at}`, qos: 1, dup: false, retain: true, messageId: at })
    await client.next('puback')
  }
  client.destroy()
  const publishers = ['p0', 'p1', 'p2'].map((name) => new Publisher(name, { qos: 1, payloadBytes, window: 50 }))
  for (const publisher of publishers) await publisher.connect(server.port)
  for (const publisher of publishers) await publisher.untilAcknowledged(messages)
  await server.kill()
  for (const publisher of publishers) publisher.destroy()
  server = await ServerProcess.start({ directory, settings, context })
  for (const publisher of publishers) await publisher.connect(server.port)
  for (const publisher of publishers) await publisher.untilAcknowledged(2 * messages)
  for (const publisher of publishers) publisher.destroy()
  for (const publisher of publishers) await publisher.finish(server.port)
  if (ending === 'stopped') assert.equal(await server.stop(), 0)
  else {
    // Damage to the very last write can only be told from a write that was torn once the log has been marked, 10 ms later.
    while (!logIsMarked(directory)) await fetch(`http://127.0.0.1:${server.httpPort}/health/live`)
    await server.kill()
  }
  return { directory, settings, publishers }
}

type Outcome = { readonly kind: 'refused' | 'served' | 'ended' | 'quarantined' | 'WRONG'; readonly words: string }

async function judge(context: TestContext, directory: string, { settings, publishers }: Content): Promise<Outcome> {
  const server = await ServerProcess.spawn({ directory, settings, context })
  try {
    await server.untilReady()
  } catch {
    return judgeEnd(server, 'refused', await server.exited)
  }
  try {
    await assertBacklog(server, publishers)
    await assertRetained(server)
    return { kind: 'served', words: '' }
  } catch (error) {
    const words = (error as Error).message.split('\n')[0] ?? ''
    if (error instanceof assert.AssertionError) return { kind: 'WRONG', words }
    // The connection was closed. That is an answer only if the process has ended for it, or says for whom it does not serve: a client would come back for ever.
    const { client } = await RawClient.connect(server.port, 'knocking').catch(() => ({ client: undefined }))
    client?.destroy()
    if (client !== undefined && (await quarantines(server))) return { kind: 'quarantined', words: '' }
    if (client !== undefined) return { kind: 'WRONG', words: `goes on without serving: ${words}; ${lastLine(server)}` }
    return judgeEnd(server, 'ended', await server.exited)
  } finally {
    await server.kill()
  }
}

/** Whether it tells of damaged records while it is ready. They are looked for when a reader has met them. */
async function quarantines(server: ServerProcess): Promise<boolean> {
  for (let asked = 0; asked < 500; asked++) {
    const { status, text } = await fetchText(server, '/health/ready').catch(() => ({ status: 0, text: '' }))
    if (status === 200 && text.includes('are damaged and not served')) return true
  }
  return false
}

const lastLine = ({ stderr }: ServerProcess): string => stderr.trimEnd().split('\n').at(-1) ?? ''

/** A refusal names the file or the group, and what can be done. */
function judgeEnd(server: ServerProcess, kind: 'refused' | 'ended', code: number | string): Outcome {
  const words = lastLine(server)
  // RocksDB asserts what it reads of a block that iterators do not verify, before anybody else can: it serves nothing, but has no words for it.
  if (code === 'SIGABRT' && /rocksdb.*Assertion/.test(server.stderr)) return { kind, words }
  if (code !== 1) return { kind: 'WRONG', words: `exit code ${code}: ${words}` }
  if (!/(\.log|\.sst|clean|MANIFEST|CURRENT|group \d+|\/kv\b)/.test(words)) return { kind: 'WRONG', words: `names nothing: ${words}` }
  if (!/restore|remove/i.test(words)) return { kind: 'WRONG', words: `gives no advice: ${words}` }
  return { kind, words }
}

/** The reader's backlog. Each publisher's topic is ordered, so when a last message has come of each, nothing more can come before it. */
async function assertBacklog(server: ServerProcess, publishers: readonly Publisher[]): Promise<void> {
  const { client: ender } = await RawClient.connect(server.port, 'ender')
  for (const { name } of publishers) {
    ender.send({ cmd: 'publish', topic: `load/${name}`, payload: `${name}:end`, qos: 1, dup: false, retain: false, messageId: 1 })
    await ender.next('puback')
  }
  ender.destroy()
  const { client, connack } = await RawClient.connect(server.port, 'reader', { clean: false })
  assert.ok(connack.sessionPresent, 'the session is gone')
  const received: IPublishPacket[] = []
  for (let ends = 0; ends < publishers.length; ) {
    const packet = await client.next('publish')
    client.send({ cmd: 'puback', messageId: packet.messageId as number })
    if (packet.payload.toString('latin1', 0, 20).endsWith(':end')) ends++
    else received.push(packet)
  }
  client.destroy()
  assertDelivery(publishers, received, { qos: 1 })
}

async function assertRetained(server: ServerProcess): Promise<void> {
  const { client } = await RawClient.connect(server.port, 'retained-reader')
  client.send({ cmd: 'publish', topic: RETAINED_END, payload: 'end', qos: 1, dup: false, retain: true, messageId: 1 })
  await client.next('puback')
  client.send({ cmd: 'subscribe', messageId: 2, subscriptions: [{ topic: 'kept/#', qos: 0 }] })
  await client.next('suback')
  const values = new Map<string, string>()
  for (let packet = await client.next('publish'); packet.topic !== RETAINED_END; packet = await client.next('publish')) {
    values.set(packet.topic, packet.payload.toString())
  }
  client.destroy()
  const expected = Array.from({ length: RETAINED_COUNT }, (_, at) => [`kept/${at + 1}`, `value ${at + 1}`])
  assert.deepEqual([...values].sort(), expected.sort(), `the retained messages are others: ${values.size} came`)
}

/** Damages each kind of file in each way, and judges what the node makes of it. */
async function tryDamages(context: TestContext, content: Content, kinds?: readonly FileKind[]): Promise<void> {
  const random = new SeededRandom(SEED)
  context.diagnostic(`DAMAGE_SEED=${SEED}`)
  const root = temporaryDirectory(context)
  const wrong: string[] = []
  // Without damage it is served: else all that follows would be refused for another reason.
  const whole = join(root, 'whole')
  copyData(content.directory, whole)
  const control = await judge(context, whole, content)
  assert.deepEqual(control, { kind: 'served', words: '' })
  for (const [fileKind, files] of filesByKind(content.directory)) {
    if (kinds !== undefined && !kinds.includes(fileKind)) continue
    for (const damage of sampleDamages(random, content.directory, files)) {
      const outcome = await tryDamage(context, join(root, 'data'), content, damage, random)
      const line = `${fileKind.padEnd(10)} ${describeDamage(damage).padEnd(48)} ${outcome.kind.padEnd(8)} ${outcome.words.slice(0, 150)}`
      context.diagnostic(line)
      if (outcome.kind === 'WRONG') wrong.push(line)
    }
  }
  assert.deepEqual(wrong, [], `DAMAGE_SEED=${SEED}`)
}

async function tryDamage(
  context: TestContext,
  directory: string,
  content: Content,
  damage: Damage,
  random: SeededRandom,
): Promise<Outcome> {
  copyData(content.directory, directory, damage.file)
  inflict(directory, damage, random)
  try {
    return await judge(context, directory, content)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

for (const ending of ['killed', 'stopped'] as const) {
  test(`E6 files of a node that was ${ending} are damaged in every way: it refuses with reason and advice, or serves everything`, {
    timeout: 600_000,
  }, async (context) => {
    const shape = { payloadBytes: 500, messages: 500, settings: [], ending }
    await tryDamages(context, await writeContent(context, temporaryDirectory(context), shape))
  })
}

test('E6 the same when the log no longer reaches back to the beginning, so that the store alone has the older messages', {
  timeout: 600_000,
}, async (context) => {
  const shape = {
    payloadBytes: 60_000,
    messages: 250,
    settings: ['engine.default_storage=rocksdb', 'engine.wal_bytes=16MiB'],
    ending: 'killed',
  } as const
  const content = await writeContent(context, temporaryDirectory(context), shape)
  await tryDamages(context, content, ['table', 'store log', 'manifest'])
})

test('E6 the same when the messages are in segments', { timeout: 600_000 }, async (context) => {
  const settings = ['engine.default_storage=segment', 'engine.segment_bytes=1MiB']
  const shape = { payloadBytes: 2000, messages: 300, settings, ending: 'killed' } as const
  const content = await writeContent(context, temporaryDirectory(context), shape)
  await tryDamages(context, content, ['segment', 'segment end', 'segment index'])
})
