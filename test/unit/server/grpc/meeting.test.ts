// SPDX-License-Identifier: Apache-2.0
// Whom a node lets in: the handshake of nodes, secrets and certificates (M4, R35, DESIGN 7).
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it, type TestContext } from 'node:test'
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { PemFile } from '#base/port/network'
import { type ClusterProtection, type ClusterTls, checkClusterTls, createClusterGrpc } from '#server'
import { encodeHello } from '../../../../src/server/grpc/peer-codec.ts'
import { Authority, withoutOpenssl } from '../../../cluster/certificates.ts'
import { BenchNode, type BenchOptions, OPEN, pair, RememberedPeers } from './grpc-bench.ts'

const secret = (words: string): ClusterProtection => ({ secret: words, tls: undefined })

/** Two nodes of which the first calls the second, and what that one's log says. */
async function refusedPair(
  context: TestContext,
  first: Partial<BenchOptions>,
  second: Partial<BenchOptions> = {},
): Promise<readonly [BenchNode, BenchNode]> {
  const one = await BenchNode.start(context, { nodeId: 1, ...first })
  const two = await BenchNode.start(context, { nodeId: 2, ...second })
  one.knows({ nodeId: 2, address: two.address })
  one.send(2, 'let me in')
  await one.until(() => one.lines.length + one.crashes.length > 0)
  assert.deepEqual(two.frames, [])
  return [one, two]
}

describe('meeting of nodes', () => {
  it('M4 a node of another cluster is refused, and both logs say what to correct', async (context) => {
    const [one, two] = await refusedPair(context, { clusterName: 'east' }, { clusterName: 'west' })
    assert.match(one.reasons()[0] ?? '', /node 1 .* is of cluster "east", node 2 of "west": correct cluster_name/)
    assert.match(two.reasons()[0] ?? '', /cluster_name/)
  })

  it('a node that is reached under the id of another is refused', async (context) => {
    const one = await BenchNode.start(context, { nodeId: 1 })
    const two = await BenchNode.start(context, { nodeId: 2 })
    one.knows({ nodeId: 3, address: two.address })
    await one.until(() => one.lines.length + one.crashes.length > 0)
    assert.match(one.reasons()[0] ?? '', /takes node 2 for node 3: correct the addresses in meta_addrs/)
  })

  it('two nodes of one id refuse each other', async (context) => {
    const one = await BenchNode.start(context, { nodeId: 1 })
    const two = await BenchNode.start(context, { nodeId: 1, diskId: 'another' })
    one.transport.setPeers(new Map([[2, two.address]]))
    await one.until(() => one.lines.length + one.crashes.length > 0)
    assert.match(one.reasons()[0] ?? '', /give each node its own/)
  })

  it('R35 a wiped node under its old id is refused, and ends with a text that says how to replace it', async (context) => {
    const known = new RememberedPeers()
    known.disks.set(1, 'the disk before')
    const [one, two] = await refusedPair(context, { diskId: 'a new disk' }, { known })
    await one.until(() => one.crashes.length > 0)
    assert.match(one.crashes[0]?.message ?? '', /node 2 knows node 1 with another disk/)
    for (const words of [
      'robustmq ctl cluster remove 1 --config FILE',
      'robustmq ctl cluster add NEW HOST:PORT --config FILE',
      'robustmq ctl cluster promote NEW --config FILE',
      'join = true',
      'never used',
      'an empty data_path',
    ])
      assert.ok(one.crashes[0]?.message.includes(words), words)
    assert.match(two.reasons()[0] ?? '', /node 1 has disk a new disk, but is known with disk the disk before/)
    assert.equal(known.disks.get(1), 'the disk before')
  })

  it('R35 a wiped peer is not talked to either, and that does not end the node which finds it', async (context) => {
    const known = new RememberedPeers()
    known.disks.set(2, 'the disk before')
    const [one] = await refusedPair(context, { known }, { diskId: 'a new disk' })
    assert.match(one.reasons()[0] ?? '', /node 2 has disk a new disk/)
    assert.deepEqual(one.crashes, [])
  })

  it('R35 the disks of peers are remembered by both sides', async (context) => {
    const [one, two] = await pair(context)
    one.send(2, 'a word')
    await two.until(() => two.frames.length === 1)
    assert.equal(one.known.get(2), 'disk-2')
    assert.equal(two.known.get(1), 'disk-1')
  })

  it('R55 nodes of different releases talk where what they speak overlaps, and refuse each other where it does not', async (context) => {
    const [one, two] = await pair(context, { protocol: { min: 1, max: 2 } }, { protocol: { min: 2, max: 3 } })
    one.send(2, 'a word')
    two.send(1, 'another')
    await Promise.all([two.until(() => two.frames.length === 1), one.until(() => one.frames.length === 1)])
    for (const node of [one, two]) assert.equal(node.gauges.get('robustmq_grpc_protocol')?.(), 2)
    const three = await BenchNode.start(context, { nodeId: 3, protocol: { min: 3, max: 4 } })
    three.knows(one)
    await three.until(() => three.lines.length > 0)
    assert.match(three.reasons()[0] ?? '', /node 3 .* speaks protocol 3 to 4, node 1 speaks 1 to 2: upgrade the older one/)
    assert.equal(one.counts.get('robustmq_grpc_refused_total protocol'), 1)
    assert.equal(one.known.get(3), undefined)
  })

  it('the same secret lets nodes talk', async (context) => {
    const [one, two] = await pair(context, { protection: secret('one and the same') }, { protection: secret('one and the same') })
    one.send(2, 'a word')
    await two.until(() => two.frames.length === 1)
  })

  for (const [first, second] of [
    ['right', 'wrong'],
    ['right', ''],
    ['', 'right'],
  ] as const)
    it(`nodes with the secrets "${first}" and "${second}" do not talk, and do not remember each other`, async (context) => {
      const [one, two] = await refusedPair(context, { protection: secret(first) }, { protection: secret(second) })
      assert.match(one.reasons()[0] ?? '', /does not have the secret of the cluster/)
      assert.equal(one.known.get(2), undefined)
      assert.equal(two.known.get(1), undefined)
      assert.deepEqual(one.crashes, [])
    })

  it('who has not proved the secret is served nothing, whatever it says of itself', async (context) => {
    const two = await BenchNode.start(context, { nodeId: 2, protection: secret('kept') })
    two.server.register('Echo', { unary: new Map([['echo', (request) => Promise.resolve(request)]]), serverStream: new Map() })
    const client = new Client(two.address, credentials.createInsecure())
    context.after(() => client.close())
    const call = (path: string, key: string, value: Buffer): Promise<status | undefined> => {
      const metadata = new Metadata()
      metadata.set(key, value)
      const asIs = (bytes: Buffer): Buffer => bytes
      return new Promise((resolve) =>
        client.makeUnaryRequest(path, asIs, asIs, Buffer.alloc(0), metadata, (error: ServiceError | null) => resolve(error?.code)),
      )
    }
    const hello = encodeHello({
      protocol: { min: 1, max: 1 },
      cluster: 'bench',
      node: 1,
      disk: 'd',
      boot: 1,
      peer: 2,
      nonce: Buffer.alloc(16),
      isOperator: false,
      address: '',
    })
    assert.equal(await call('/robustmq.Echo/echo', 'robustmq-proof-bin', Buffer.alloc(32)), status.UNAUTHENTICATED)
    assert.equal(await call('/robustmq.Peer/Meet', 'robustmq-hello-bin', hello), undefined)
    assert.equal(await call('/robustmq.Peer/Prove', 'robustmq-proof-bin', Buffer.alloc(32)), status.PERMISSION_DENIED)
    assert.equal(await call('/robustmq.Echo/echo', 'robustmq-proof-bin', Buffer.alloc(32)), status.UNAUTHENTICATED)
    assert.equal(await call('/robustmq.Peer/Frames', 'robustmq-proof-bin', Buffer.alloc(0)), status.UNAUTHENTICATED)
    assert.equal(await call('/robustmq.Peer/Meet', 'robustmq-hello-bin', Buffer.from([0xff])), status.INVALID_ARGUMENT)
    assert.equal(two.known.get(1), undefined)
  })

  it('a node that others can reach does not exist without a secret or certificates', async (context) => {
    const node = await BenchNode.start(context, { nodeId: 1 })
    const logger = { log: () => undefined, scope: () => logger }
    const metrics = {
      counter: () => ({ add: () => undefined }),
      gauge: () => undefined,
      histogram: () => ({ observe: () => undefined }),
    }
    const ports = { logger, metrics, clock: undefined as never, random: undefined as never, crash: () => undefined }
    const self = { clusterName: 'bench', nodeId: 1, diskId: 'd', bootEpoch: 1, address: '' }
    const options = { host: '0.0.0.0', port: 0, protection: OPEN, messageBytesMax: 1024 }
    assert.throws(() => createClusterGrpc(ports, self, node.known, options), /protected by a secret or by certificates/)
  })
})

describe('certificates of nodes', { skip: withoutOpenssl }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'robustmq-node-tls-'))
  after(() => rmSync(directory, { recursive: true }))
  const own = new Authority(directory, 'own')
  const foreign = new Authority(directory, 'foreign')
  const pem = (path: string): PemFile => ({ path, bytes: readFileSync(path) })

  const tls = (issuer: Authority, name: string, names = `DNS:${name}`): ClusterProtection => {
    const { cert, key } = issuer.issue(name, { names })
    return { secret: '', tls: { cert: pem(cert), key: pem(key), ca: pem(own.cert) } }
  }

  it('nodes with certificates for their ids talk', async (context) => {
    const [one, two] = await pair(context, { protection: tls(own, 'node-1') }, { protection: tls(own, 'node-2') })
    one.send(2, 'a word')
    await two.until(() => two.frames.length === 1)
  })

  it('a node that calls with the certificate of another node is refused', async (context) => {
    const [, two] = await refusedPair(context, { protection: tls(own, 'node-3') }, { protection: tls(own, 'node-2') })
    assert.match(two.reasons()[0] ?? '', /is not one for "node-1"/)
  })

  it('a node that is called and shows the certificate of another node is not talked to', async (context) => {
    const [one] = await refusedPair(context, { protection: tls(own, 'node-1') }, { protection: tls(own, 'node-3') })
    assert.match(one.reasons()[0] ?? '', /cannot reach node 2 .*node-2/)
  })

  it('a certificate of another issuer does not come in', async (context) => {
    const [one] = await refusedPair(context, { protection: tls(foreign, 'node-1') }, { protection: tls(own, 'node-2') })
    assert.match(one.reasons()[0] ?? '', /cannot reach node 2/)
  })

  it('certificates that were replaced are shown and asked for after a reload, without a restart', async (context) => {
    const newly = (name: string): ClusterTls => {
      const { cert, key } = foreign.issue(`new-${name}`, { names: `DNS:${name}` })
      return { cert: pem(cert), key: pem(key), ca: pem(foreign.cert) }
    }
    const two = await BenchNode.start(context, {
      nodeId: 2,
      protection: tls(own, 'node-2'),
      readTls: () => Promise.resolve(newly('node-2')),
    })
    const one = await BenchNode.start(context, { nodeId: 1, protection: { secret: '', tls: newly('node-1') } })
    one.knows(two)
    await one.until(() => one.unreachable.length > 0)
    await two.server.reload()
    // What is said while there is no connection is lost, and told: then it is said again.
    const speak = (from: BenchNode, to: BenchNode): void => {
      from.send(to.nodeId, 'a word')
      void from.until(() => {
        from.send(to.nodeId, 'a word')
        return to.frames.length > 0
      })
    }
    speak(one, two)
    await two.until(() => two.frames.length > 0)
    two.knows(one)
    speak(two, one)
    await one.until(() => one.frames.length > 0)
  })

  it('a node does not start with a certificate that is not its own, or a key that is not of the certificate', () => {
    const own1 = tls(own, 'node-1').tls as ClusterTls
    const other = tls(own, 'node-3').tls as ClusterTls
    const invalid = (words: RegExp) => (error: unknown) => isPlatformError(error, ERROR_CODES.configInvalid) && words.test(error.message)
    checkClusterTls(own1, 1)
    assert.throws(() => checkClusterTls(other, 1), invalid(/is not for "node-1"/))
    assert.throws(() => checkClusterTls({ ...own1, key: other.key }, 1), invalid(/cannot use cluster.tls_cert/))
    assert.throws(() => checkClusterTls({ ...own1, ca: { path: 'ca', bytes: Buffer.alloc(0) }, cert: other.key }, 1), invalid(/cannot use/))
  })

  it('who speaks without TLS does not come in', async (context) => {
    const [one] = await refusedPair(context, {}, { protection: tls(own, 'node-2') })
    assert.match(one.reasons()[0] ?? '', /cannot reach node 2/)
  })
})
