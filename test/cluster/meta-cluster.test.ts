// SPDX-License-Identifier: Apache-2.0
// Three real processes, real RocksDB and real sockets: what is acknowledged stays, reads see it, and writes go on without one of three.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KvClient } from '#contract/client/kv-client'
import { MetaCluster, Registers } from './meta-cluster.ts'
import { TcpGate } from './tcp-gate.ts'

const KEYS = ['a', 'b', 'c', 'd'] as const

function startClients(cluster: MetaCluster): Registers {
  const registers = new Registers()
  for (const node of cluster.nodes) for (const way of ['x', 'y']) registers.run(cluster.client(node), `${way}${node}`, KEYS)
  return registers
}

const storedValue = async (client: KvClient, key: string): Promise<string | undefined> =>
  (await client.get(Buffer.from(key))).item?.value.toString()

test('a leader that is killed, again and again, costs no acknowledged write, and what clients see stays linearizable (R6, R12, R20)', async (context) => {
  const cluster = await MetaCluster.start(context)
  const registers = startClients(cluster)
  await registers.progress(50)
  for (let round = 0; round < 3; round++) {
    const leader = await cluster.leader()
    await cluster.process(leader).kill()
    await registers.progress(50)
    await (await cluster.spawn(leader)).untilReady()
    await registers.progress(20)
  }
  await registers.stop()
  assert.ok(registers.check() > 200)
})

test('a leader that is paused is replaced, and its late answers deceive nobody (R14, R26, R28)', async (context) => {
  const cluster = await MetaCluster.start(context)
  const registers = startClients(cluster)
  await registers.progress(50)
  const paused = await cluster.leader()
  process.kill(cluster.process(paused).pid, 'SIGSTOP')
  await registers.progress(50)
  process.kill(cluster.process(paused).pid, 'SIGCONT')
  await registers.progress(50)
  await registers.stop()
  registers.check()
})

test('a leader that reaches nobody acknowledges nothing, and follows the others when it is back (R14)', async (context) => {
  const gates = new Map<number, TcpGate>()
  const cluster = await MetaCluster.start(context, {
    reach: async (node, port) => {
      const gate = await TcpGate.open(context, port)
      gates.set(node, gate)
      return `127.0.0.1:${gate.port}`
    },
  })
  const registers = startClients(cluster)
  await registers.progress(50)
  const cut = await cluster.leader()
  // What others send to it passes its own gate, and what it sends passes theirs, under the port that only it has to them.
  gates.get(cut)?.close()
  for (const [node, gate] of gates) if (node !== cut) gate.closeTo(cluster.process(cut).pid)
  await registers.progress(50)
  for (const gate of gates.values()) gate.reopen()
  await registers.progress(50)
  await registers.stop()
  registers.check()
})

test('all nodes killed at once: nothing that was acknowledged is lost (DESIGN 2)', async (context) => {
  const cluster = await MetaCluster.start(context)
  const client = cluster.client()
  const acknowledged: string[] = []
  let killed = false
  const writing = (async () => {
    for (let count = 0; !killed; count++) {
      try {
        await client.put(Buffer.from(`key ${count}`), Buffer.from(String(count)), { deadlineMs: 1000 })
        acknowledged.push(`key ${count}`)
      } catch {
        return
      }
    }
  })()
  while (acknowledged.length < 200) await new Promise((resolve) => setImmediate(resolve))
  await Promise.all(cluster.nodes.map((node) => cluster.process(node).kill()))
  killed = true
  await writing
  await Promise.all(cluster.nodes.map((node) => cluster.spawn(node)))
  await Promise.all(cluster.nodes.map((node) => cluster.process(node).untilReady()))
  const after = cluster.client(2)
  for (const key of acknowledged) assert.equal(await storedValue(after, key), key.slice('key '.length))
})

test('a node that lost its disk refuses to start under its old identity, and says how to replace it (R35, R46)', async (context) => {
  const cluster = await MetaCluster.start(context)
  const client = cluster.client(1)
  await client.put(Buffer.from('a'), Buffer.from('1'))
  await cluster.process(3).kill()
  cluster.wipe(3)
  const wiped = await cluster.spawn(3)
  assert.equal(await wiped.exited, 1)
  assert.match(wiped.stderr, /known with (another )?disk|has lost its data/)
  assert.match(wiped.stderr, /robustmq ctl cluster remove 3/)
  assert.equal(await storedValue(client, 'a'), '1')
})

test('a node alone of three waits, says so, is not ready, and stops when it is told', async (context) => {
  const cluster = await MetaCluster.start(context)
  await Promise.all(cluster.nodes.map((node) => cluster.process(node).stop()))
  const alone = await cluster.spawn(1)
  await alone.untilWritten('waiting for a majority')
  const ready = await fetch(`http://127.0.0.1:${alone.httpPort}/health/ready`)
  assert.equal(ready.status, 503)
  assert.equal(await alone.stop(), 0)
})

test('a leader that is stopped hands over first: it exits with 0 and another one leads', async (context) => {
  const cluster = await MetaCluster.start(context)
  const leader = await cluster.leader()
  assert.equal(await cluster.process(leader).stop(), 0)
  const others = cluster.nodes.filter((node) => node !== leader)
  assert.ok(others.includes(await cluster.leader(others)))
  await cluster.client(others[0]).put(Buffer.from('a'), Buffer.from('1'))
})
