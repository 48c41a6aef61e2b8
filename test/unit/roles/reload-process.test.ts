// SPDX-License-Identifier: Apache-2.0
// SIGHUP and the identity of the data, as a user meets them. Runs real processes.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { RawClient } from '../../cluster/raw-client.ts'
import { freePort } from '../../cluster/server-process.ts'
import { finished, launch, logged, ready } from './robustmq-process.ts'

describe('robustmq: reload', () => {
  let directory = ''
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'robustmq-reload-'))
  })
  after(() => rm(directory, { recursive: true }))

  it('a topic with offline = false among stored ones; SIGHUP moves the exception at once, for a publisher that is connected', async () => {
    const port = await freePort()
    const file = join(directory, 'topics.toml')
    const text = (filter: string): string =>
      `data_path = "${join(directory, 'topics')}"\nhttp_port = 0\n[mqtt]\ntcp_port = ${port}\n[[topic]]\nfilter = "${filter}"\noffline = false\n`
    await writeFile(file, text('one/#'))
    const run = launch(['--config', file])
    await ready(run)
    const { client: publisher } = await RawClient.connect(port, 'publisher')
    const missed = async (): Promise<readonly string[]> => {
      for (const topic of ['one/a', 'two/a', 'one/a', 'two/a']) {
        publisher.send({ cmd: 'publish', topic, qos: 1, messageId: 1, payload: 'x', dup: false, retain: false })
        await publisher.next('puback')
      }
      const { client, connack } = await RawClient.connect(port, 'away', { clean: false })
      assert.ok(connack.sessionPresent)
      const topics = []
      for (const packet of [await client.next('publish'), await client.next('publish'), ...(await client.drain())]) {
        assert.ok(packet.cmd === 'publish')
        client.send({ cmd: 'puback', messageId: packet.messageId as number })
        topics.push(packet.topic)
      }
      await client.disconnect()
      return topics
    }
    const { client } = await RawClient.connect(port, 'away', { clean: false })
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 1 }] })
    await client.next('suback')
    await client.disconnect()

    assert.deepEqual(await missed(), ['two/a', 'two/a'])
    await writeFile(file, text('two/#'))
    run.child.kill('SIGHUP')
    await logged(run, /configuration: reloaded changed=topic\n/)
    assert.deepEqual(await missed(), ['one/a', 'one/a'])

    const from = run.stderr.length
    await writeFile(file, text('two/#/x').replace(`${port}`, '"x"'))
    run.child.kill('SIGHUP')
    await logged(run, /topics\.toml:4: mqtt\.tcp_port .*\n.*topics\.toml:6: topic\[0\]\.filter .*\n/, from)
    assert.deepEqual(await missed(), ['one/a', 'one/a'], 'the old configuration is in force')
    publisher.destroy()
    run.child.kill('SIGTERM')
    assert.equal(await run.exited, 0, run.stderr)
  })

  it('SIGHUP changes the level of the log, and names what has to wait', async () => {
    const file = join(directory, 'level.toml')
    const text = (level: string, port: number): string =>
      `data_path = "${join(directory, 'level')}"\nhttp_port = ${port}\n[log]\nlevel = "${level}"\n[mqtt]\ntcp_port = 0\n`
    await writeFile(file, text('info', 0))
    const run = launch(['--config', file])
    await ready(run)
    await writeFile(file, text('debug', await freePort()))
    run.child.kill('SIGHUP')
    await logged(run, /warn {2}configuration: http_port changes with the next start\n.*configuration: reloaded changed=log\.level\n/)
    assert.doesNotMatch(run.stderr, / debug /)
    run.child.kill('SIGTERM')
    assert.equal(await run.exited, 0, run.stderr)
    assert.match(run.stderr, / debug node: stopped component=broker\n/)
  })

  it('data that was created with other fixed settings refuses the start with 2, names both values, and is untouched', async () => {
    const base = [`data_path=${join(directory, 'fixed')}`, 'http_port=0', 'mqtt.tcp_port=0']
    const words = (...settings: readonly string[]): string[] => [...base, ...settings].flatMap((setting) => ['--set', setting])
    const once = async (): Promise<void> => {
      const run = launch(words())
      await ready(run)
      run.child.kill('SIGTERM')
      assert.equal(await run.exited, 0, run.stderr)
    }
    await once()
    const refused = await finished(words('engine.stripes=8'))
    assert.deepEqual([refused.code, refused.stdout], [2, ''])
    assert.match(refused.stderr, /engine\.stripes = 8, but the data was created with engine\.stripes = 4: set /)
    await once()
    await rm(join(directory, 'fixed', 'identity'))
    const blank = await finished(words())
    assert.equal(blank.code, 1)
    assert.match(blank.stderr, /identity is missing, but there is data in /)
  })
})
