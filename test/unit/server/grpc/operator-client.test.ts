// SPDX-License-Identifier: Apache-2.0
// The operator's way in: with the secret of the cluster, without being a node of it (DESIGN 7).
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { CryptoRandom, NodeClock } from '#runtime'
import { type ClusterProtection, createOperatorClient, type OperatorClient } from '#server'
import { Authority, withoutOpenssl } from '../../../cluster/certificates.ts'
import { BenchNode } from './grpc-bench.ts'

const SILENT = { log: () => undefined, scope: () => SILENT }
const secret = (words: string): ClusterProtection => ({ secret: words, tls: undefined })
const NOTHING = Buffer.alloc(0)

function operator(context: TestContext, protection: ClusterProtection, ...nodes: readonly BenchNode[]): OperatorClient {
  const ports = { clock: new NodeClock(), random: new CryptoRandom(), logger: SILENT }
  const client = createOperatorClient(ports, { clusterName: 'bench', nodeId: 1 }, { protection, messageBytesMax: 1 << 20 })
  client.setPeers(new Map(nodes.map(({ nodeId, address }) => [nodeId, address])))
  context.after(() => client.close())
  return client
}

function serveEcho(node: BenchNode): BenchNode {
  node.server.register('Echo', { unary: new Map([['echo', (request) => Promise.resolve(request)]]), serverStream: new Map() })
  return node
}

describe('an operator', () => {
  it('calls services of nodes, also of the one whose configuration it has, and leaves nothing behind that is remembered', async (context) => {
    const protection = secret('kept')
    const one = serveEcho(await BenchNode.start(context, { nodeId: 1, protection }))
    const two = serveEcho(await BenchNode.start(context, { nodeId: 2, protection }))
    for (const command of [operator(context, protection, one, two), operator(context, protection, one, two)])
      for (const node of [1, 2]) assert.equal(String(await command.client.unary(node, 'Echo/echo', Buffer.from('word'), 5000)), 'word')
    assert.equal(one.known.disks.size + two.known.disks.size, 0)
    assert.equal(one.gauges.get('robustmq_grpc_protocol')?.(), 0)
  })

  it('is refused without the secret', async (context) => {
    const two = serveEcho(await BenchNode.start(context, { nodeId: 2, protection: secret('right') }))
    const called = operator(context, secret('wrong'), two).client.unary(2, 'Echo/echo', NOTHING, 5000)
    await assert.rejects(called, (error) => isPlatformError(error, ERROR_CODES.refusedByPeer) && /secret/.test(error.message))
  })

  it('shows the certificate of the node whose configuration it has, and no other', { skip: withoutOpenssl }, async (context) => {
    const directory = mkdtempSync(join(tmpdir(), 'robustmq-operator-'))
    context.after(() => rmSync(directory, { recursive: true }))
    const authority = new Authority(directory)
    const pem = (path: string) => ({ path, bytes: readFileSync(path) })
    const tls = (name: string): ClusterProtection => {
      const { cert, key } = authority.issue(name, { names: `DNS:${name}` })
      return { secret: '', tls: { cert: pem(cert), key: pem(key), ca: pem(authority.cert) } }
    }
    const one = serveEcho(await BenchNode.start(context, { nodeId: 1, protection: tls('node-1') }))
    assert.equal(String(await operator(context, tls('node-1'), one).client.unary(1, 'Echo/echo', Buffer.from('word'), 5000)), 'word')
    const called = operator(context, tls('node-3'), one).client.unary(1, 'Echo/echo', NOTHING, 5000)
    await assert.rejects(called, (error) => isPlatformError(error, ERROR_CODES.refusedByPeer) && /not one for "node-1"/.test(error.message))
  })

  it('takes no part in consensus', async (context) => {
    const two = await BenchNode.start(context, { nodeId: 2 })
    const { client } = operator(context, secret(''), two)
    for (const call of ['Peer/Frames', 'Peer/Snapshot'])
      await assert.rejects(client.unary(2, call, NOTHING, 5000), (error) => isPlatformError(error, ERROR_CODES.invalid))
    assert.deepEqual(two.frames, [])
  })
})
