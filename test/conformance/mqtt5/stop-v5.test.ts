// SPDX-License-Identifier: Apache-2.0
// A server that stops (MQTT 5 sections 3.14, 4.13).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Broker } from '../harness/broker.ts'

const broker = new Broker(5)

test('MQTT-3.14.4-2 a server that is asked to stop says so to its v5 clients, closes all connections, and exits with 0', async () => {
  const [newer, older] = [await broker.client(), await broker.client({ version: 4 })]
  const exitCode = broker.server.stop()
  assert.equal(await newer.closeReason(), 0x8b)
  assert.equal(await older.closeReason(), undefined)
  assert.equal(await exitCode, 0)
})
