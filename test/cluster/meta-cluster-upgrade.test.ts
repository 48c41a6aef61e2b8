// SPDX-License-Identifier: Apache-2.0
// R55: a cluster is upgraded node by node while it works. What only the newer release knows is held back until the last node has it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { MetaMembers } from '#contract/client/meta-admin-client'
import { MetaCluster, Registers } from './meta-cluster.ts'

test('R55 three nodes are upgraded one by one under load; then the gate opens for all, and the older release is not let in again', async (context) => {
  const cluster = await MetaCluster.start(context, { release: 'older' })
  /** An entry with a command that it does not know would be the end of node 1, which is upgraded last. */
  const first = cluster.process(1)
  const ended = first.exited.then((code) => assert.fail(`node 1 ended with ${code}: ${first.stderr}`))
  const registers = new Registers()
  for (const node of cluster.nodes) registers.run(cluster.client(node), `client ${node}`, ['a', 'b', 'c'])
  await Promise.race([registers.progress(30), ended])
  for (const node of [2, 3]) {
    await cluster.process(node).stop()
    await Promise.race([registers.progress(20), ended])
    await Promise.race([cluster.spawn(node, 'newer').then((process) => process.untilReady()), ended])
    await Promise.race([registers.progress(30), ended])
    const { clusterVersion, members } = await cluster.admin(node).members()
    assert.equal(clusterVersion, 1)
    assert.equal(members.find((member) => member.node === node)?.programVersion, 2)
    await assert.rejects(cluster.admin(node).setAddress(9, 'nowhere:1'), (error) => isPlatformError(error, ERROR_CODES.notReady))
  }
  await cluster.process(1).kill()
  await registers.progress(20)
  await (await cluster.spawn(1, 'newer')).untilReady()
  await registers.progress(30)
  const isDone = ({ clusterVersion, members }: MetaMembers): boolean =>
    clusterVersion === 2 && members.every(({ node, address }) => address === cluster.addressOf(node))
  for (const node of cluster.nodes)
    while (!isDone(await cluster.admin(node).members())) await new Promise((resolve) => setImmediate(resolve))
  await registers.stop()
  assert.ok(registers.check() > 100)

  await cluster.process(3).stop()
  const older = await cluster.spawn(3, 'older')
  assert.equal(await older.exited, 1)
  assert.match(older.stderr, /run a newer one/)
})
