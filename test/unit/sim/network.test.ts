// SPDX-License-Identifier: Apache-2.0
// The simulated network: bytes arrive complete and in order in pieces of any size, writers are pushed back, and ends of every kind.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Channel } from '#base/port/network'
import type { Endpoint } from '../../sim/connection.ts'
import { Life } from '../../sim/life.ts'
import { type NetworkConditions, SimNetwork } from '../../sim/network.ts'
import { World } from '../../sim/world.ts'

const CONDITIONS: NetworkConditions = { delayMs: 2, splitRatio: 0.5, stallRatio: 0.02, stallMsMax: 50, windowBytes: 500, halfOpenRatio: 0 }

interface Side {
  received: string
  readonly chunks: number[]
  drains: number
  closed: string | undefined
}

const side = (): Side => ({ received: '', chunks: [], drains: 0, closed: undefined })

const recorder = (into: Side) => ({
  onData: (chunk: Buffer) => {
    into.received += chunk.toString('latin1')
    into.chunks.push(chunk.length)
  },
  onDrain: () => {
    into.drains++
  },
  onClose: (error: Error | undefined) => {
    assert.equal(into.closed, undefined, 'a channel closes once')
    into.closed = error?.message ?? 'end'
  },
})

/** A listening node and one connection to it. */
async function connected(seed: number, conditions: NetworkConditions = CONDITIONS) {
  const world = new World({ seed })
  const life = new Life(1, 1)
  const network = new SimNetwork(world, world.random.stream('network'), conditions)
  const server = side()
  const client = side()
  let serverChannel: Channel | undefined
  let clientEnd: Endpoint | undefined
  await network
    .forLife(life)
    .listener({ transport: 'tcp', host: '127.0.0.1', port: 1883 })
    .start((channel) => {
      serverChannel = channel
      return recorder(server)
    })
  network.connect(1883, {
    opened: (endpoint) => {
      clientEnd = endpoint
      return recorder(client)
    },
    refused: () => assert.fail('somebody listens'),
  })
  await world.runFor(100)
  assert.ok(serverChannel !== undefined && clientEnd !== undefined)
  return { world, life, network, server, client, serverChannel, clientEnd }
}

it('bytes arrive complete and in order, split and joined anywhere', async () => {
  const { world, server, clientEnd } = await connected(1)
  const text = Array.from({ length: 600 }, (_, at) => `message ${at};`).join('')
  for (let at = 0; at < text.length; at += 13) clientEnd.write(Buffer.from(text.slice(at, at + 13)))
  await world.runFor(60_000)
  assert.equal(server.received, text)
  assert.ok(server.chunks.some((length) => length < 13) && server.chunks.some((length) => length > 100), String(server.chunks))
})

it('a receiver that pauses pushes back: bytes queue at the writer, who is told when they are gone', async () => {
  const { world, server, client, serverChannel, clientEnd } = await connected(2)
  clientEnd.pause()
  serverChannel.write(Buffer.alloc(5000, 'x'))
  await world.runFor(10_000)
  assert.equal(serverChannel.queuedBytes(), 4500)
  assert.deepEqual([client.received.length, server.drains], [0, 0])
  clientEnd.resume()
  await world.runFor(10_000)
  assert.deepEqual([client.received.length, serverChannel.queuedBytes(), server.drains], [5000, 0, 1])
})

it('an end comes after the last byte, on both sides, and nothing comes after it', async () => {
  const { world, network, server, client, serverChannel } = await connected(3)
  serverChannel.write(Buffer.alloc(3000, 'x'))
  serverChannel.end(60_000)
  await world.runFor(60_000)
  assert.deepEqual([client.received.length, client.closed, server.closed, network.connectionCount], [3000, 'end', 'end', 0])
})

it('an end does not wait longer than its grace for a peer that does not read', async () => {
  const { world, server, client, serverChannel, clientEnd } = await connected(3)
  clientEnd.pause()
  serverChannel.write(Buffer.alloc(3000, 'x'))
  serverChannel.end(1000)
  await world.runFor(2000)
  assert.deepEqual([server.closed, client.closed, client.received], ['end', 'ECONNRESET', ''])
})

it('the death of a node resets its connections, and its own side is told nothing', async () => {
  const { world, life, network, server, client, clientEnd } = await connected(4)
  clientEnd.write(Buffer.from('late'))
  life.end()
  network.end(life, false)
  await world.runFor(1000)
  assert.deepEqual([client.closed, server.closed, server.received, network.connectionCount], ['ECONNRESET', undefined, '', 0])
})

it('a power loss may leave a connection half-open: the client hears nothing until it gives up', async () => {
  const { world, life, network, client } = await connected(5, { ...CONDITIONS, halfOpenRatio: 1 })
  life.end()
  network.end(life, true)
  await world.runFor(100)
  assert.equal(client.closed, undefined)
  await world.runFor(30_000)
  assert.equal(client.closed, 'ETIMEDOUT')
})

it('a client may vanish: the server hears nothing, and what it writes stays with it', async () => {
  const { world, server, serverChannel, clientEnd } = await connected(6)
  clientEnd.vanish()
  serverChannel.write(Buffer.alloc(2000, 'x'))
  await world.runFor(100_000)
  assert.deepEqual([server.closed, serverChannel.queuedBytes()], [undefined, 1500])
  serverChannel.destroy()
  await world.runFor(100)
  assert.equal(server.closed, 'end')
})

it('a port that nobody listens on refuses, and one port has one listener', async () => {
  const { world, life, network } = await connected(7)
  let refused = false
  network.connect(1884, { opened: () => assert.fail('nobody listens'), refused: () => (refused = true) })
  await world.runFor(100)
  assert.equal(refused, true)
  const second = network.forLife(life).listener({ transport: 'tcp', host: '127.0.0.1', port: 1883 })
  await assert.rejects(
    second.start(() => assert.fail('not bound')),
    /another listener/,
  )
})
