// SPDX-License-Identifier: Apache-2.0
// The transport of consensus over real sockets (M3, M4, R17, R38, R40).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { freePort } from '../../../cluster/server-process.ts'
import { BenchNode, pair } from './grpc-bench.ts'

const MIB = 1024 * 1024

describe('transport of consensus', () => {
  it('M3 frames of both classes arrive, in the order of their class, under the name of their sender', async (context) => {
    const [one, two] = await pair(context)
    for (let ordinal = 0; ordinal < 100; ordinal++) {
      one.send(2, `c${ordinal}`)
      one.send(2, `a${ordinal}`, 'append')
      two.send(1, `b${ordinal}`)
    }
    await two.until(() => two.frames.length === 200)
    await one.until(() => one.frames.length === 100)
    const ofClass = (letter: string): readonly string[] => two.words().filter((words) => words.startsWith(letter))
    const counted = (letter: string): readonly string[] => Array.from({ length: 100 }, (_, ordinal) => `${letter}${ordinal}`)
    assert.deepEqual(ofClass('c'), counted('c'))
    assert.deepEqual(ofClass('a'), counted('a'))
    assert.deepEqual(one.words(), counted('b'))
    assert.ok(two.frames.every(({ from }) => from === 1))
  })

  it('frames of a mebibyte arrive whole, and an empty one too', async (context) => {
    const [one, two] = await pair(context)
    const frames = [0, 1, MIB, 3 * MIB].map((length, ordinal) => Buffer.alloc(length, ordinal + 65))
    for (const frame of frames) one.transport.send(2, 'append', frame)
    await two.until(() => two.frames.length === frames.length)
    assert.ok(two.frames.every(({ frame }, ordinal) => frame.equals(frames[ordinal] ?? Buffer.alloc(0))))
  })

  it('R9 what does not fit into the queue of its class is dropped and told; the other class has its own queue (R17)', async (context) => {
    const one = await BenchNode.start(context, { nodeId: 1 })
    // Nobody is there: what is sent can only wait.
    one.transport.setPeers(new Map([[2, '127.0.0.1:1']]))
    const before = one.unreachable.length
    const frame = Buffer.alloc(MIB)
    for (let count = 0; count < 16; count++) one.transport.send(2, 'append', frame)
    assert.equal(one.unreachable.length, before)
    one.transport.send(2, 'append', frame)
    assert.equal(one.unreachable.length, before + 1)
    one.transport.send(2, 'control', frame)
    assert.equal(one.unreachable.length, before + 1)
  })

  it('R17 a peer that does not get to its entries still gets heartbeats', async (context) => {
    const [one, two] = await pair(context)
    const entries = Buffer.alloc(MIB)
    for (let count = 0; count < 16; count++) one.transport.send(2, 'append', entries)
    one.send(2, 'beat')
    await two.until(() => two.words().includes('beat'))
    await two.until(() => two.frames.length === 17)
  })

  it('a node that cannot be reached is told about, and logged once', async (context) => {
    const one = await BenchNode.start(context, { nodeId: 1 })
    one.transport.setPeers(new Map([[2, '127.0.0.1:1']]))
    await one.until(() => one.unreachable.length >= 6)
    assert.ok(one.unreachable.every((node) => node === 2))
    assert.equal(one.lines.length, 1)
    one.transport.send(9, 'control', Buffer.alloc(0))
    assert.equal(one.unreachable.at(-1), 9)
  })

  it('M4 a peer that starts again is found, and gets what is said from then on', async (context) => {
    const [one, two] = await pair(context)
    one.send(2, 'before')
    await two.until(() => two.words().includes('before'))
    await two.stop()
    await one.until(() => one.unreachable.length > 0)
    const again = await two.restart(context, { bootEpoch: 2 })
    again.knows(one)
    let said = 0
    const speak = (): void => one.send(2, `after ${said++}`)
    const heard = again.until(() => again.frames.length > 0)
    // Anything said while the stream is not there may be lost, which is told: then it is said again.
    speak()
    void one.until(() => {
      speak()
      return again.frames.length > 0
    })
    again.send(1, 'back')
    await one.until(() => one.words().includes('back'))
    await heard
    assert.match(again.words()[0] ?? '', /^after/)
  })

  it('M4 once a newer incarnation of a peer has been met, frames of the older one are dropped', async (context) => {
    const one = await BenchNode.start(context, { nodeId: 1 })
    const older = await BenchNode.start(context, { nodeId: 2, bootEpoch: 7 })
    older.knows(one)
    older.send(1, 'older')
    await one.until(() => one.words().includes('older'))
    const newer = await BenchNode.start(context, { nodeId: 2, bootEpoch: 8 })
    newer.knows(one)
    newer.send(1, 'newer')
    await one.until(() => one.words().includes('newer'))
    const unreachableBefore = older.unreachable.length
    older.send(1, 'late')
    await older.until(() => older.unreachable.length > unreachableBefore)
    assert.ok(!one.words().includes('late'))
    await older.until(() => older.reasons().some((reason) => /started again/.test(reason)))
  })

  it('a frame that the host cannot read closes its stream, which is opened again', async (context) => {
    const onFrame = (_from: number, frame: Buffer): void => {
      if (frame.toString() === 'nonsense') throw new PlatformError(ERROR_CODES.invalid, 'a frame that cannot be read')
    }
    const [one, two] = await pair(context, {}, { onFrame })
    one.send(2, 'sense')
    await two.until(() => two.words().includes('sense'))
    const unreachableBefore = one.unreachable.length
    one.send(2, 'nonsense')
    await one.until(() => one.unreachable.length > unreachableBefore)
    assert.ok(two.lines.some(({ message, fields }) => message === 'closed a stream of another node' && fields['node'] === 1))
    one.send(2, 'sense again')
    await two.until(() => two.words().includes('sense again'))
  })

  it('R17 a node that is not known is answered where it says it is, as long as it sends frames', async (context) => {
    const one = await BenchNode.start(context, { nodeId: 1 })
    const port = await freePort()
    const stranger = await BenchNode.start(context, { nodeId: 9, port, address: `127.0.0.1:${port}` })
    stranger.knows(one)
    stranger.send(1, 'who are you')
    await one.until(() => one.words().includes('who are you'))
    one.send(9, 'node 1')
    await stranger.until(() => stranger.words().includes('node 1'))
    assert.equal(one.gauges.get('robustmq_grpc_frame_streams')?.(), 2)
    await stranger.stop()
    // Once nobody is heard any more, nothing is tried: what is sent is lost at once.
    while (one.gauges.get('robustmq_grpc_frame_streams')?.() !== 0) await new Promise((resolve) => setImmediate(resolve))
    const before = one.unreachable.length
    one.send(9, 'gone')
    assert.equal(one.unreachable.length, before + 1)
  })

  it('an address that was set counts more than what a node says of itself', async (context) => {
    const [one, two] = await pair(context, {}, { address: '127.0.0.1:1' })
    two.send(1, 'a word')
    await one.until(() => one.words().includes('a word'))
    one.send(2, 'an answer')
    await two.until(() => two.words().includes('an answer'))
  })

  it('after stop nothing is told any more', async (context) => {
    const [one, two] = await pair(context)
    one.send(2, 'a word')
    await two.until(() => two.frames.length === 1)
    await two.transport.stop()
    one.send(2, 'another')
    await one.until(() => one.unreachable.length > 0)
    assert.equal(two.frames.length, 1)
  })
})

describe('snapshots', () => {
  async function* chunksOf(...chunks: readonly Buffer[]): AsyncIterable<Buffer> {
    yield* chunks
  }

  it('R38, R40 a snapshot arrives chunk by chunk, and the sender learns that it was taken', async (context) => {
    const taken: Buffer[] = []
    const [one] = await pair(
      context,
      {},
      {
        onSnapshot: async (from, header, chunks) => {
          assert.equal(from, 1)
          taken.push(header)
          for await (const chunk of chunks) taken.push(chunk)
        },
      },
    )
    const chunks = Array.from({ length: 40 }, (_, ordinal) => Buffer.alloc(256 * 1024, ordinal))
    await one.transport.sendSnapshot(2, Buffer.from('header'), chunksOf(...chunks))
    assert.deepEqual(Buffer.concat(taken), Buffer.concat([Buffer.from('header'), ...chunks]))
  })

  it('R40 a receiver that rejects in the middle is told to the sender, who stops reading its chunks', async (context) => {
    const onSnapshot = async (_from: number, _header: Buffer, chunks: AsyncIterable<Buffer>): Promise<void> => {
      for await (const chunk of chunks) if (chunk.length > 1) break
      throw new PlatformError(ERROR_CODES.diskFull, 'no room')
    }
    const [one] = await pair(context, {}, { onSnapshot })
    let isClosed = false
    async function* endless(): AsyncIterable<Buffer> {
      try {
        yield Buffer.from('a')
        for (;;) yield Buffer.alloc(256 * 1024)
      } finally {
        isClosed = true
      }
    }
    const sent = one.transport.sendSnapshot(2, Buffer.alloc(1), endless())
    await assert.rejects(sent, (error) => isPlatformError(error, ERROR_CODES.diskFull))
    assert.ok(isClosed)
  })

  it('R40 a sender that breaks off makes the iteration of the receiver throw', async (context) => {
    const failures: unknown[] = []
    const [one, two] = await pair(
      context,
      {},
      {
        onSnapshot: async (_from, _header, chunks) => {
          try {
            for await (const chunk of chunks) assert.equal(chunk.length, 10)
          } catch (error) {
            failures.push(error)
            throw error
          }
        },
      },
    )
    async function* breaking(): AsyncIterable<Buffer> {
      yield Buffer.alloc(10)
      throw new PlatformError(ERROR_CODES.diskFailed, 'cannot read')
    }
    const sent = one.transport.sendSnapshot(2, Buffer.alloc(1), breaking())
    await assert.rejects(sent, (error) => isPlatformError(error, ERROR_CODES.diskFailed))
    await two.until(() => two.lines.some(({ message }) => message === 'did not take a snapshot'))
    assert.ok(isPlatformError(failures[0], ERROR_CODES.unreachable))
  })

  it('M9 a third snapshot at once is refused, and can be sent later', async (context) => {
    const release: (() => void)[] = []
    const [one] = await pair(context, {}, { onSnapshot: () => new Promise((resolve) => release.push(resolve)) })
    const first = one.transport.sendSnapshot(2, Buffer.alloc(1), chunksOf())
    const second = one.transport.sendSnapshot(2, Buffer.alloc(1), chunksOf())
    await assert.rejects(one.transport.sendSnapshot(2, Buffer.alloc(1), chunksOf()), (error) =>
      isPlatformError(error, ERROR_CODES.quotaExceeded),
    )
    while (release.length < 2) await new Promise((resolve) => setImmediate(resolve))
    for (const resolve of release) resolve()
    await Promise.all([first, second])
  })

  it('to a node that nobody knows, or that is not there, it rejects as unreachable', async (context) => {
    const one = await BenchNode.start(context, { nodeId: 1 })
    one.transport.setPeers(new Map([[2, '127.0.0.1:1']]))
    for (const node of [2, 3]) {
      const sent = one.transport.sendSnapshot(node, Buffer.alloc(1), chunksOf())
      await assert.rejects(sent, (error) => isPlatformError(error, ERROR_CODES.unreachable))
    }
  })
})
