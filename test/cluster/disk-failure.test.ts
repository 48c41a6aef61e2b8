// SPDX-License-Identifier: Apache-2.0
// Disks that are full, that fail a sync, or lose what was not synced: the process ends at once and says why, nothing is acknowledged that is
// not stored, and the next start has all that was (RELIABILITY R48, R49).
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { FaultySync, SmallDisk } from './fault-disk.ts'
import { assertDelivery, distinctReached, Publisher, readAll, subscribeAndLeave } from './publisher.ts'
import { RawClient } from './raw-client.ts'
import { ServerProcess, temporaryDirectory } from './server-process.ts'

const lastLine = ({ stderr }: ServerProcess): string => stderr.trimEnd().split('\n').at(-1) ?? ''

/** The publishers send again what they owe, and the reader finds every message. */
async function assertNothingLost(server: ServerProcess, publishers: readonly Publisher[]): Promise<void> {
  for (const publisher of publishers) await publisher.finish(server.port)
  const sent = publishers.reduce((sum, publisher) => sum + publisher.sent, 0)
  assertDelivery(publishers, await readAll(server.port, 'reader', distinctReached(sent)), { qos: 1 })
}

const countAcknowledged = (publishers: readonly Publisher[]): number =>
  publishers.reduce((sum, { acknowledged }) => sum + acknowledged.size, 0)

/** Publishers would wait before the disk is full. Others fill disks too. */
const NO_RESERVE = 'limits.disk_free_min=0'

for (const { storage, sizeMiB, payloadBytes } of [
  { storage: 'segment', sizeMiB: 16, payloadBytes: 100 },
  { storage: 'rocksdb', sizeMiB: 16, payloadBytes: 100 },
  { storage: 'rocksdb', sizeMiB: 60, payloadBytes: 4_000 },
  { storage: 'segment', sizeMiB: 250, payloadBytes: 60_000 },
]) {
  test(`R49 a disk of ${sizeMiB} MiB fills up under messages of type ${storage}: the process ends and names the disk, and every acknowledged message is there when there is room`, {
    timeout: 60_000,
  }, async (context) => {
    const disk = SmallDisk.mount(context, sizeMiB)
    if (disk === undefined) return context.skip('mounting a file system takes root')
    const directory = join(disk.directory, 'data')
    const settings = [NO_RESERVE, `engine.default_storage=${storage}`]
    let server = await ServerProcess.start({ directory, settings, context })
    await subscribeAndLeave(server.port, 'reader', 1)
    const publishers = ['p0', 'p1'].map((name) => new Publisher(name, { qos: 1, payloadBytes, window: 100 }))
    for (const publisher of publishers) await publisher.connect(server.port)
    await assertFailed(server)
    for (const publisher of publishers) await publisher.untilClosed()
    context.diagnostic(`${countAcknowledged(publishers)} acknowledged; last line: ${lastLine(server)}`)
    assert.match(lastLine(server), /^robustmq: fatal: .*(disk is full|ENOSPC|no space|bytes (are )?free).*/i)
    assert.ok(lastLine(server).includes(directory), 'the last line names the disk')

    // Without room the node may start or refuse, but must say why it refuses.
    const cramped = await ServerProcess.spawn({ directory, settings, context })
    const started = await cramped.untilReady().then(
      () => true,
      () => false,
    )
    if (started) await cramped.stop()
    else assert.match(lastLine(cramped), /disk is full|ENOSPC|no space|bytes (are )?free/i)
    context.diagnostic(`on the full disk: ${started ? `started, stopped with ${await cramped.exited}` : lastLine(cramped)}`)

    disk.resize(sizeMiB + 300)
    server = await ServerProcess.start({ directory, settings, context })
    await assertNothingLost(server, publishers)
    assert.equal(await server.stop(), 0)
  })
}

function faultySync(context: TestContext): { readonly faulty: FaultySync; readonly directory: string } | undefined {
  const root = temporaryDirectory(context)
  const directory = join(root, 'data')
  mkdirSync(directory)
  const faulty = FaultySync.build(root)
  if (faulty === undefined) context.skip('a sync that fails takes Linux and a C compiler')
  return faulty && { faulty, directory }
}

for (const { storage, log } of [
  { storage: 'segment', log: 'segments' },
  { storage: 'rocksdb', log: 'wal' },
]) {
  const settings = [`engine.default_storage=${storage}`]

  test(`R48 a sync of the log of type ${storage} fails: nothing is acknowledged after it, the process ends at once, and nothing acknowledged is lost`, async (context) => {
    const { faulty, directory } = faultySync(context) ?? {}
    if (faulty === undefined || directory === undefined) return
    let server = await ServerProcess.start({ directory, settings, environment: faulty.environment(`/${log}/`), context })
    await subscribeAndLeave(server.port, 'reader', 1)
    const publisher = new Publisher('p0', { qos: 1 })
    await publisher.connect(server.port)
    await publisher.untilAcknowledged(2_000)
    const { client: late } = await RawClient.connect(server.port, 'late')
    faulty.breakDisk()
    late.send({ cmd: 'publish', topic: 'load/late', payload: 'late:1', qos: 1, dup: false, retain: false, messageId: 1 })
    assert.deepEqual(await late.untilClosed(), [], 'a message that was sent after the disk had failed is not acknowledged')
    await assertFailed(server)
    context.diagnostic(lastLine(server))
    assert.match(lastLine(server), /^robustmq: fatal: .*(EIO|sync)/i)
    assert.ok(lastLine(server).includes(join(directory, log)), 'the last line names the file')

    await publisher.untilClosed()
    server = await ServerProcess.start({ directory, settings, context })
    await assertNothingLost(server, [publisher])
    assert.equal(await server.stop(), 0)
  })

  test(`Q1 a power cut takes what was never synced, again and again: every acknowledged message of type ${storage} is there`, {
    timeout: 60_000,
  }, async (context) => {
    const { faulty, directory } = faultySync(context) ?? {}
    if (faulty === undefined || directory === undefined) return
    const environment = faulty.environment('/none/')
    let server = await ServerProcess.start({ directory, settings, environment, context })
    await subscribeAndLeave(server.port, 'reader', 1)
    const publishers = ['p0', 'p1'].map((name) => new Publisher(name, { qos: 1, payloadBytes: 1_000 }))
    for (let round = 1; round <= 4; round++) {
      for (const publisher of publishers) await publisher.connect(server.port)
      for (const publisher of publishers) await publisher.untilAcknowledged(round * 3_000)
      await server.kill()
      for (const publisher of publishers) publisher.destroy()
      const { files, bytesLost } = faulty.cutPower(directory)
      context.diagnostic(`the cut took ${bytesLost} bytes of ${files} files`)
      server = await ServerProcess.start({ directory, settings, environment, context })
    }
    await assertNothingLost(server, publishers)
    assert.equal(await server.stop(), 0)
  })
}

test('R48 a sync of the store fails while stopping: the process says so and fails, and nothing acknowledged is lost', async (context) => {
  const { faulty, directory } = faultySync(context) ?? {}
  if (faulty === undefined || directory === undefined) return
  let server = await ServerProcess.start({ directory, environment: faulty.environment('/kv/'), context })
  await subscribeAndLeave(server.port, 'reader', 1)
  const publisher = new Publisher('p0', { qos: 1 })
  await publisher.connect(server.port)
  await publisher.untilAcknowledged(2_000)
  faulty.breakDisk()
  assert.equal(await server.stop(), 1)
  context.diagnostic(lastLine(server))
  assert.match(server.stderr, /EIO|Input\/output error/i)

  await publisher.untilClosed()
  server = await ServerProcess.start({ directory, context })
  await assertNothingLost(server, [publisher])
  assert.equal(await server.stop(), 0)
})

test('R48 a sync of a table of the store fails under load: the process ends by itself and names the store, and nothing acknowledged is lost', {
  timeout: 120_000,
}, async (context) => {
  const { faulty, directory } = faultySync(context) ?? {}
  if (faulty === undefined || directory === undefined) return
  const environment = faulty.environment('.sst')
  const settings = ['engine.wal_bytes=16MiB', 'engine.default_storage=rocksdb']
  let server = await ServerProcess.start({ directory, environment, context, settings })
  await subscribeAndLeave(server.port, 'reader', 1)
  faulty.breakDisk()
  const publisher = new Publisher('p0', { qos: 1, payloadBytes: 60_000 })
  await publisher.connect(server.port)
  await assertFailed(server)
  context.diagnostic(`${publisher.acknowledged.size} acknowledged; ${lastLine(server)}`)
  // RocksDB tries the flush again for ever and tells nobody: it is the deadline of calls that ends this.
  assert.match(lastLine(server), /^robustmq: fatal: .*(EIO|Input\/output error|the store in .* has not answered)/i)

  await publisher.untilClosed()
  server = await ServerProcess.start({ directory, settings, context })
  await assertNothingLost(server, [publisher])
  assert.equal(await server.stop(), 0)
})

/** Exit code 1; killed by itself where the store hangs, whose threads an exit would wait for. */
async function assertFailed(server: ServerProcess): Promise<void> {
  const end = await server.exited
  assert.ok(end === 1 || end === 'SIGKILL', `the process ended with ${end}`)
}
