// SPDX-License-Identifier: Apache-2.0
// Settings of topics that are changed in meta while a node runs, and found there by the next start. The node runs in this process: what is called here is not reached from outside.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadConfig } from '#base/config/load'
import type { TopicSettingsClient } from '#contract/client/topic-settings-client'
import { MetaService } from '#meta'
import { composeNode } from '../../roles/compose.ts'
import { Node } from '../../roles/node.ts'
import { openEarlyPorts, openPorts, storeComponent } from '../../roles/ports.ts'
import { RawClient } from './raw-client.ts'
import { freePort, type TestLife, temporaryDirectory } from './server-process.ts'

interface RunningNode {
  readonly settings: TopicSettingsClient
  readonly port: number
  independentLogs(storage: string): Promise<number>
  stop(): Promise<void>
}

async function startNode(context: TestLife, directory: string): Promise<RunningNode> {
  const port = await freePort()
  const outcome = loadConfig({
    settings: [`data_path=${directory}`, `mqtt.tcp_port=${port}`, 'mqtt.tls_port=0', 'mqtt.ws_port=0', 'mqtt.wss_port=0', 'http_port=0'],
  })
  assert.ok(outcome.kind === 'loaded')
  const { config } = outcome
  const early = openEarlyPorts(config, () => undefined)
  const ports = await openPorts(early, config, (reason) => {
    throw reason
  })
  const components = composeNode(ports, config, { unready: () => [], warnings: () => [], metrics: ports.metrics })
  const node = new Node(early.clock, early.logger)
  const stop = async (): Promise<void> => assert.deepEqual(await node.stop(), { kind: 'clean' })
  context.after(stop)
  await node.start([storeComponent(ports), ...components])
  const meta = components.find((component) => component instanceof MetaService) as MetaService
  return {
    settings: meta.topicSettings,
    port,
    independentLogs: async (storage) => {
      const line = (await ports.metrics.exposition())
        .split('\n')
        .find((text) => text.startsWith(`robustmq_engine_independent_logs{storage="${storage}"}`))
      return Number(line?.split(' ')[1] ?? Number.NaN)
    },
    stop,
  }
}

async function publish(port: number, topic: string): Promise<void> {
  const { client } = await RawClient.connect(port, 'publisher')
  client.send({ cmd: 'publish', topic, payload: 'x', qos: 1, messageId: 1, dup: false, retain: false })
  await client.next('puback')
  await client.disconnect()
}

test('settings of topics hold from the call on, come before what follows in their order, and are in force before a start serves anything', async (context) => {
  const directory = temporaryDirectory(context)
  const first = await startNode(context, directory)
  await publish(first.port, 'own/a')
  assert.equal(await first.independentLogs('segment'), 0)
  await first.settings.set({ name: 'all', order: 5, table: { filter: 'own/#', storage: 'memory', offline: false } })
  await first.settings.set({
    name: 'own',
    order: 1,
    table: { filter: 'own/+', storage: 'segment', model: 'independent', max_bytes: '16KiB' },
  })
  await publish(first.port, 'own/a')
  assert.equal(await first.independentLogs('segment'), 1)
  await first.stop()

  const second = await startNode(context, directory)
  await publish(second.port, 'own/b')
  assert.equal(await second.independentLogs('segment'), 2)
  assert.equal(await second.settings.remove('own'), true)
  await publish(second.port, 'own/c')
  assert.equal(await second.independentLogs('segment'), 2)
  await second.stop()
})
