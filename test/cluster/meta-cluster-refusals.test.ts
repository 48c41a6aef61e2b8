// SPDX-License-Identifier: Apache-2.0
// What the operator's command refuses to do to a cluster, and what it hands over before it removes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MetaCluster } from './meta-cluster.ts'
import { done, picture, refused } from './operator-command.ts'

test('what would cost the majority is refused, with what to do instead; leaders are handed over on demand (R34, R37)', async (context) => {
  const cluster = await MetaCluster.start(context)
  await done(cluster.ctl('transfer', '2'))
  const { groups } = await picture(cluster)
  for (const { leader } of groups) assert.equal(leader, 2)
  await refused(cluster.ctl('transfer', '7'), /node 7 does not vote in/)
  await refused(cluster.ctl('transfer', '1', '--group', '9'), /no group 9/)
  await refused(cluster.ctl('add', '5', cluster.addressOf(1)), /is the address of node 1/)
  await cluster.process(3).kill()
  await refused(cluster.ctl('remove', '1'), /would have no majority, since node 3 does not answer/)
  const table = await done(cluster.ctl('status', '--node', '1'))
  assert.match(table, /\n3 .* down /)
  assert.match(table, /! node 3 does not answer/)
  // A leader that is removed hands over first.
  await (await cluster.spawn(3)).untilReady()
  await done(cluster.ctl('remove', '2'))
  for (const { voters } of (await picture(cluster)).groups) assert.deepEqual(voters, [1, 3])
  await cluster.client(1).put(Buffer.from('a'), Buffer.from('1'))
})

test('a command that has the wrong secret, or asks for what cannot be, fails and says why', async (context) => {
  const cluster = await MetaCluster.start(context, { nodes: 1 })
  await refused(cluster.ctl('status', '--set', 'cluster.secret=another_secret_than_it_has'), /secret/)
  const { code, stdout } = await cluster.ctl('remove', '1', '--json')
  const answer = JSON.parse(stdout) as Record<string, unknown>
  assert.deepEqual([code, answer['done'], answer['code']], [1, false, 'invalid'])
  assert.match(String(answer['problem']), /the only voter/)
})
