// SPDX-License-Identifier: Apache-2.0
// What an operator does with a cluster, by the real command: a lost node is replaced, and whoever was away meanwhile comes back.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MetaCluster } from './meta-cluster.ts'
import { done, picture, refused } from './operator-command.ts'

test('a node that lost its disk is replaced by another one: removed, added, promoted; the data is complete, and the others find it again (R34, R35)', async (context) => {
  const cluster = await MetaCluster.start(context)
  const client = cluster.client(1)
  const keys = Array.from({ length: 100 }, (_, count) => Buffer.from(`key ${count}`))
  for (const key of keys) await client.put(key, key)

  await cluster.process(3).kill()
  cluster.wipe(3)
  const wiped = await cluster.spawn(3)
  assert.equal(await wiped.exited, 1)
  for (const words of ['ctl cluster remove 3', 'ctl cluster add NEW', 'ctl cluster promote NEW'])
    assert.ok(wiped.stderr.includes(words), words)

  await done(cluster.ctl('remove', '3'))
  assert.match(await done(cluster.ctl('remove', '3')), /nothing to do/)
  await refused(cluster.ctl('promote', '4', '--timeout', '1s'), /first, robustmq ctl cluster add 4/)
  const joiner = await cluster.spawnJoiner(4, 1)
  await done(cluster.ctl('add', '4', cluster.addressOf(4)))
  await done(cluster.ctl('add', '4', cluster.addressOf(4)))
  await done(cluster.ctl('promote', '4'))
  await done(cluster.ctl('promote', '4'))
  await joiner.untilReady()

  const { nodes, groups } = await picture(cluster)
  assert.deepEqual(
    nodes.map(({ node, problem }) => [node, problem]),
    [
      [1, undefined],
      [2, undefined],
      [4, undefined],
    ],
  )
  for (const { voters, learners } of groups) assert.deepEqual([voters, learners], [[1, 2, 4], []])

  // Of node 4, node 2 knows only what the metadata told it, and after a restart what it has remembered.
  await cluster.process(1).kill()
  await cluster.process(2).kill()
  await (await cluster.spawn(2)).untilReady()
  const rest = cluster.client(4)
  for (const key of keys) assert.deepEqual((await rest.get(key)).item?.value, key)
  await rest.put(Buffer.from('after'), Buffer.from('all'))
  await refused(cluster.ctl('add', '3', '127.0.0.1:1'), /node 3 was a member before/)
})

test('a node that was away while the others were replaced finds the cluster by a member that it has never heard of (R32, R46)', async (context) => {
  const cluster = await MetaCluster.start(context)
  await cluster.process(2).kill()
  const joiner = await cluster.spawnJoiner(4, 1)
  await done(cluster.ctl('add', '4', cluster.addressOf(4)))
  await done(cluster.ctl('promote', '4'))
  await joiner.untilReady()
  await done(cluster.ctl('remove', '3'))
  await cluster.process(3).kill()
  await done(cluster.ctl('transfer', '4'))
  await cluster.client(4).put(Buffer.from('a'), Buffer.from('1'))
  const knows2 = async (): Promise<boolean> =>
    (await cluster.admin(4).members()).members.some(({ node, address }) => node === 2 && address !== '')
  while (!(await knows2())) await new Promise((resolve) => setImmediate(resolve))
  // Node 2 knows the addresses of 1 and 3, and needs entries of node 4 to learn that one.
  await cluster.process(1).kill()
  await (await cluster.spawn(2)).untilReady()
  await cluster.client(4).put(Buffer.from('a'), Buffer.from('2'))
  assert.equal(String((await cluster.client(2).get(Buffer.from('a'))).item?.value), '2')
})
