// SPDX-License-Identifier: Apache-2.0
// What the operator's commands ask of which node, and in which order (R34, R35).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ERROR_CODES } from '#base/error-code'
import { parseCtl, runCtl } from '#cli'
import { FakeCluster, WaitingClock } from './fake-cluster.ts'

interface Ran {
  readonly isDone: boolean
  readonly out: string
  readonly err: string
}

async function run(cluster: FakeCluster, line: string, clock = new WaitingClock()): Promise<Ran> {
  const command = parseCtl(['cluster', ...line.split(' ')])
  assert.equal(command.kind, 'ctl')
  const written = { out: '', err: '' }
  const output = {
    out: (text: string) => {
      written.out += text
    },
    err: (text: string) => {
      written.err += text
    },
  }
  const isDone = await runCtl(command as Extract<typeof command, { kind: 'ctl' }>, new Map([[1, 'h1:1']]), cluster, clock, output)
  return { isDone, ...written }
}

describe('ctl cluster status', () => {
  it('finds all nodes from one, and shows who votes, learns, leads and lags', async () => {
    const cluster = new FakeCluster([1, 2])
    cluster.groups[1]?.learners.push(3)
    cluster.addresses.set(3, 'h3:1')
    cluster.applied.set(2, 4)
    cluster.down.add(3)
    const { isDone, out } = await run(cluster, 'status')
    assert.ok(isDone)
    assert.match(out, /^3 nodes, 2 groups, cluster version 1\n/)
    assert.match(out, /\n1 +h1:1 +up +1 +2 +0 +2 +0\n/)
    assert.match(out, /\n2 +h2:1 +up +1 +2 +0 +0 +6\n/)
    assert.match(out, /\n3 +h3:1 +down +- +0 +1 +0 +-\n/)
    assert.match(out, /\n256 +1 +2 +10 +1,2 +3\n/)
    assert.match(out, /! node 3 does not answer: node 3 is away/)
    const json = JSON.parse((await run(cluster, 'status --json')).out) as { readonly nodes: readonly { readonly node: number }[] }
    assert.deepEqual(
      json.nodes.map(({ node }) => node),
      [1, 2, 3],
    )
  })

  it('names the groups without a leader, and fails when nobody answers', async () => {
    const cluster = new FakeCluster([1, 2])
    for (const group of cluster.groups) group.leader = 0
    assert.match((await run(cluster, 'status')).out, /! no leader is known of group 1, 256/)
    for (const node of [1, 2]) cluster.down.add(node)
    const { isDone, err } = await run(cluster, 'status')
    assert.ok(!isDone)
    assert.match(err, /no node of the cluster answers. node 1 \(h1:1\): node 1 is away/)
  })
})

describe('ctl cluster add', () => {
  it('tells the address first, then has the leader of each group add a learner; a second time there is nothing to do', async () => {
    const cluster = new FakeCluster([1, 2])
    for (const group of cluster.groups) group.leader = group.group === 1 ? 1 : 2
    assert.ok((await run(cluster, 'add 3 h3:1')).isDone)
    assert.deepEqual(cluster.changes, ['address 3 h3:1', 'addLearner 1 3', 'addLearner 256 3'])
    assert.ok((await run(cluster, 'add 3 h3:1')).isDone)
    assert.equal(cluster.changes.length, 3)
    assert.ok((await run(cluster, 'add 3 elsewhere:1')).isDone)
    assert.equal(cluster.changes.at(-1), 'address 3 elsewhere:1')
  })

  it('R35 an id that was used is refused, and so is an address that is taken', async () => {
    const cluster = new FakeCluster([1, 2])
    cluster.versions.set(3, 1)
    assert.match((await run(cluster, 'add 3 h3:1')).err, /node 3 was a member before/)
    assert.match((await run(cluster, 'add 4 h2:1')).err, /h2:1 is the address of node 2/)
    assert.deepEqual(cluster.changes, [])
  })

  it('what passes is tried again, what does not pass ends it, and so does the time', async () => {
    const cluster = new FakeCluster([1, 2])
    cluster.failures.push(ERROR_CODES.notLeader, ERROR_CODES.conflict, ERROR_CODES.outcomeUnknown, ERROR_CODES.proposalDropped)
    assert.ok((await run(cluster, 'add 3 h3:1')).isDone)
    cluster.failures.push(ERROR_CODES.internal)
    assert.match((await run(cluster, 'add 4 h4:1')).err, /as the test wants it/)
    for (const group of cluster.groups) group.leader = 0
    const { isDone, err } = await run(cluster, 'add 5 h5:1 --timeout 3s')
    assert.ok(!isDone)
    assert.match(err, /waiting, in 2 of 2 groups. group 1: it has no leader/)
    assert.match(err, /not done within 3 s. group 1: it has no leader; group 256: it has no leader. Give the same command again/)
  })
})

describe('ctl cluster, while nodes start', () => {
  for (const { line, changes } of [
    {
      line: 'remove 3',
      changes: ['addLearner 256 3', 'remove 256 3', 'addLearner 1 3', 'remove 1 3', 'no address 3'],
    },
    { line: 'add 4 h4:1', changes: ['address 4 h4:1', 'addLearner 1 4', 'addLearner 256 4'] },
    { line: 'transfer 1', changes: ['transfer 1 to 1', 'transfer 256 to 1'] },
  ])
    it(`R34 ${line}: nothing is concluded from nodes that do not know the members yet, or are behind the leaders`, async () => {
      const cluster = new FakeCluster([2, 1, 3])
      for (const node of [2, 3]) cluster.down.add(node)
      cluster.starting.add(1)
      const clock = new WaitingClock()
      clock.waits.push(() => {
        cluster.starting.delete(1)
        clock.waits.push(() => cluster.down.clear())
      })
      const { isDone, err } = await run(cluster, line, clock)
      assert.ok(isDone, err)
      assert.match(err, /group 1: it has no leader[\s\S]*group 1: node 2, its leader, has not answered/)
      assert.deepEqual(cluster.changes, changes)
    })

  it('gives up when no leader is heard in time, and says so', async () => {
    const cluster = new FakeCluster([2, 1])
    cluster.down.add(2)
    const { isDone, err } = await run(cluster, 'remove 3')
    assert.ok(!isDone)
    assert.match(err, /not done within .*group 1: node 2, its leader, has not answered/)
    assert.deepEqual(cluster.changes, [])
  })
})

describe('ctl cluster promote', () => {
  it('R34 a learner gets its vote once it has applied what was committed when it was asked for', async () => {
    const cluster = new FakeCluster([1, 2])
    await run(cluster, 'add 3 h3:1')
    cluster.applied.set(3, 9)
    const clock = new WaitingClock()
    clock.waits.push(() => {
      assert.ok(cluster.groups.every(({ voters }) => !voters.includes(3)))
      // Others write on: that is not waited for.
      for (const group of cluster.groups) group.commit = 99
      cluster.applied.set(3, 10)
    })
    const { isDone, err } = await run(cluster, 'promote 3', clock)
    assert.ok(isDone)
    assert.match(err, /node 3 has applied 9 of 10 entries/)
    assert.deepEqual(cluster.changes.slice(-2), ['promote 1 3', 'promote 256 3'])
  })

  it('R34 a node that does not answer, or was not added, gets none', async () => {
    const cluster = new FakeCluster([1, 2])
    assert.match((await run(cluster, 'promote 3')).err, /node 3 is not in 2 groups.*first, robustmq ctl cluster add 3/)
    await run(cluster, 'add 3 h3:1')
    cluster.down.add(3)
    assert.match((await run(cluster, 'promote 3 --timeout 1s')).err, /not done within 1 s. group 1: node 3 does not answer/)
    assert.ok(!cluster.changes.some((change) => change.startsWith('promote')))
  })
})

describe('ctl cluster remove', () => {
  it('R34 takes the vote first, then the place, that in the metadata last, and then the address', async () => {
    const cluster = new FakeCluster([1, 2, 3])
    cluster.down.add(3)
    assert.ok((await run(cluster, 'remove 3')).isDone)
    assert.deepEqual(cluster.changes, ['addLearner 256 3', 'remove 256 3', 'addLearner 1 3', 'remove 1 3', 'no address 3'])
    assert.match((await run(cluster, 'remove 3')).out, /nothing to do/)
  })

  it('R37 a leader hands over to the voter that has got farthest before it goes', async () => {
    const cluster = new FakeCluster([1, 2, 3], [1])
    cluster.applied.set(2, 5)
    assert.ok((await run(cluster, 'remove 1')).isDone)
    assert.deepEqual(cluster.changes, ['transfer 1 to 3', 'addLearner 1 1', 'remove 1 1', 'no address 1'])
  })

  it('R34 is refused when too few of the others answer, and for the only voter', async () => {
    const cluster = new FakeCluster([1, 2, 3])
    cluster.down.add(2)
    assert.match((await run(cluster, 'remove 3')).err, /without node 3, group 256 would have no majority, since node 2 does not answer/)
    assert.match((await run(new FakeCluster([1]), 'remove 1')).err, /node 1 is the only voter of group 256/)
    assert.deepEqual(cluster.changes, [])
  })
})

describe('ctl cluster transfer', () => {
  it('of all groups or of one, to a voter only', async () => {
    const cluster = new FakeCluster([1, 2])
    assert.ok((await run(cluster, 'transfer 2 --group 256')).isDone)
    assert.deepEqual(
      cluster.groups.map(({ leader }) => leader),
      [1, 2],
    )
    assert.ok((await run(cluster, 'transfer 2')).isDone)
    assert.deepEqual(cluster.changes, ['transfer 256 to 2', 'transfer 1 to 2'])
    assert.match((await run(cluster, 'transfer 3')).err, /node 3 does not vote in 2 groups/)
    assert.match((await run(cluster, 'transfer 1 --group 7')).err, /there is no group 7/)
  })

  it('--json tells of success and failure with a code', async () => {
    const cluster = new FakeCluster([1, 2])
    const { node, done } = JSON.parse((await run(cluster, 'transfer 2 --json')).out) as Record<string, unknown>
    assert.deepEqual([node, done], [2, true])
    const failed = JSON.parse((await run(cluster, 'transfer 3 --json')).out) as Record<string, unknown>
    assert.deepEqual([failed['done'], failed['code']], [false, 'invalid'])
  })
})
