// SPDX-License-Identifier: Apache-2.0
// Calls of services between nodes.
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES, type ErrorCode } from '#base/error-code'
import type { RpcService, RpcSource, RpcStreamHandler } from '#contract/client/rpc'
import { BenchNode } from './grpc-bench.ts'

const LONG_MS = 60_000

const fails =
  (code: ErrorCode, words = /./) =>
  (error: unknown) =>
    isPlatformError(error, code) && words.test(error.message)

const NO_SOURCE: RpcSource = { onDrain: () => undefined, onCancel: () => undefined }

async function callers(context: TestContext, service: Partial<RpcService>): Promise<readonly [BenchNode, BenchNode]> {
  const one = await BenchNode.start(context, { nodeId: 1 })
  const two = await BenchNode.start(context, { nodeId: 2, bootEpoch: 5 })
  two.server.register('Test', { unary: new Map(), serverStream: new Map(), ...service })
  one.knows(two)
  return [one, two]
}

/** Resolves with the messages, and the error of the end. */
function collect(): RpcStreamHandler & { readonly ended: Promise<PlatformError | undefined>; readonly messages: string[] } {
  let end: (error: PlatformError | undefined) => void = () => undefined
  const ended = new Promise<PlatformError | undefined>((resolve) => {
    end = resolve
  })
  const messages: string[] = []
  return { ended, messages, onMessage: (message) => messages.push(message.toString()), onEnd: (error) => end(error) }
}

describe('unary calls', () => {
  it('an answer comes back, and the service knows who asked', async (context) => {
    const [one] = await callers(context, {
      unary: new Map([['ask', (request, peer) => Promise.resolve(Buffer.from(`${request} from ${peer.nodeId} of ${peer.bootEpoch}`))]]),
    })
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, ordinal) => one.client.unary(2, 'Test/ask', Buffer.from(`question ${ordinal}`), LONG_MS)),
    )
    assert.deepEqual(
      answers.map(String),
      Array.from({ length: 50 }, (_, ordinal) => `question ${ordinal} from 1 of 1`),
    )
    assert.equal((await one.client.unary(2, 'Test/ask', Buffer.alloc(0), LONG_MS)).toString(), ' from 1 of 1')
  })

  it('a mebibyte goes there and back', async (context) => {
    const [one] = await callers(context, { unary: new Map([['echo', (request) => Promise.resolve(request)]]) })
    const request = Buffer.alloc(1024 * 1024, 7)
    assert.ok((await one.client.unary(2, 'Test/echo', request, LONG_MS)).equals(request))
  })

  it('every code of the catalogue comes through with its words; a bug comes through as internal, without them', async (context) => {
    const codes = Object.values(ERROR_CODES)
    const [one, two] = await callers(context, {
      unary: new Map([
        [
          'fail',
          (request) => Promise.reject(new PlatformError(codes[request.readUInt8(0)] ?? ERROR_CODES.internal, 'words: "x" \ud800 ü')),
        ],
        ['bug', () => Promise.reject(new TypeError('the secret words'))],
      ]),
    })
    for (const [ordinal, code] of codes.entries())
      await assert.rejects(one.client.unary(2, 'Test/fail', Buffer.from([ordinal]), LONG_MS), fails(code, /^words: "x" \? ü$/))
    await assert.rejects(one.client.unary(2, 'Test/bug', Buffer.alloc(0), LONG_MS), fails(ERROR_CODES.internal, /^(?!.*secret)/))
    assert.ok(two.lines.some(({ fields }) => fields['error'] === 'the secret words'))
  })

  it('no answer within the deadline: the outcome is unknown', async (context) => {
    const [one] = await callers(context, {
      unary: new Map([
        ['wait', () => new Promise<Buffer>(() => undefined)],
        ['echo', (request) => Promise.resolve(request)],
      ]),
    })
    // The connection is there, so that the deadline cannot pass before the request is sent.
    await one.client.unary(2, 'Test/echo', Buffer.alloc(0), LONG_MS)
    await assert.rejects(one.client.unary(2, 'Test/wait', Buffer.alloc(0), 200), fails(ERROR_CODES.outcomeUnknown))
  })

  it('a connection that breaks under a call leaves the outcome unknown; the next call finds the node that has come back', async (context) => {
    let asked: () => void = () => undefined
    const isAsked = new Promise<void>((resolve) => {
      asked = resolve
    })
    const [one, two] = await callers(context, {
      unary: new Map([
        [
          'wait',
          () => {
            asked()
            return new Promise<Buffer>(() => undefined)
          },
        ],
      ]),
    })
    const waiting = one.client.unary(2, 'Test/wait', Buffer.alloc(0), LONG_MS)
    await isAsked
    const refused = assert.rejects(waiting, fails(ERROR_CODES.outcomeUnknown))
    const again = await two.restart(context, { bootEpoch: 6 })
    await refused
    again.server.register('Test', { unary: new Map([['echo', (request) => Promise.resolve(request)]]), serverStream: new Map() })
    let answer: Buffer | undefined
    while (answer === undefined)
      answer = await one.client.unary(2, 'Test/echo', Buffer.from('back'), LONG_MS).catch((error: unknown) => {
        assert.ok(isPlatformError(error))
        return undefined
      })
    assert.equal(answer.toString(), 'back')
  })

  it('a node that is not known, or not there, is unreachable; a service that is not there is not ready', async (context) => {
    const [one] = await callers(context, {})
    one.transport.setPeers(new Map([[3, '127.0.0.1:1']]))
    for (const node of [3, 3, 4])
      await assert.rejects(one.client.unary(node, 'Test/x', Buffer.alloc(0), LONG_MS), fails(ERROR_CODES.unreachable))
    const [other] = await callers(context, {})
    await assert.rejects(other.client.unary(2, 'Test/x', Buffer.alloc(0), LONG_MS), fails(ERROR_CODES.notReady))
  })
})

describe('streams of a server', () => {
  it('messages come in order, then the end', async (context) => {
    const [one] = await callers(context, {
      serverStream: new Map([
        [
          'count',
          (request, sink) => {
            for (let ordinal = 0; ordinal < request.readUInt8(0); ordinal++) sink.write(Buffer.from(String(ordinal)))
            sink.end()
            return NO_SOURCE
          },
        ],
      ]),
    })
    const told = collect()
    one.client.serverStream(2, 'Test/count', Buffer.from([100]), told)
    assert.equal(await told.ended, undefined)
    assert.deepEqual(
      told.messages,
      Array.from({ length: 100 }, (_, ordinal) => String(ordinal)),
    )
  })

  it('a failure ends it with its code, thrown or told', async (context) => {
    const [one] = await callers(context, {
      serverStream: new Map([
        [
          'throw',
          () => {
            throw new PlatformError(ERROR_CODES.notLeader, 'ask another')
          },
        ],
        [
          'tell',
          (_request, sink) => {
            sink.write(Buffer.from('first'))
            sink.end(new PlatformError(ERROR_CODES.fenced, 'too old'))
            return NO_SOURCE
          },
        ],
      ]),
    })
    const thrown = collect()
    one.client.serverStream(2, 'Test/throw', Buffer.alloc(0), thrown)
    assert.ok(fails(ERROR_CODES.notLeader, /ask another/)(await thrown.ended))
    const told = collect()
    one.client.serverStream(2, 'Test/tell', Buffer.alloc(0), told)
    assert.ok(fails(ERROR_CODES.fenced)(await told.ended))
    assert.deepEqual(told.messages, ['first'])
  })

  it('a caller that pauses holds the service up, and one that cancels is told to it', async (context) => {
    let written = 0
    let isHeldUp: () => void = () => undefined
    const heldUp = new Promise<void>((resolve) => {
      isHeldUp = resolve
    })
    let isCancelled: () => void = () => undefined
    const cancelled = new Promise<void>((resolve) => {
      isCancelled = resolve
    })
    const message = Buffer.alloc(256 * 1024)
    const [one] = await callers(context, {
      serverStream: new Map([
        [
          'endless',
          (_request, sink) => {
            const fill = (): void => {
              do written++
              while (sink.write(message))
              isHeldUp()
            }
            fill()
            return { onDrain: fill, onCancel: () => isCancelled() }
          },
        ],
      ]),
    })
    let received = 0
    let enough: () => void = () => undefined
    const isEnough = new Promise<void>((resolve) => {
      enough = resolve
    })
    const stream = one.client.serverStream(2, 'Test/endless', Buffer.alloc(0), {
      onMessage: () => {
        received++
        if (received === 200) enough()
      },
      onEnd: () => assert.fail('a cancelled stream has no end'),
    })
    stream.pause()
    await heldUp
    stream.resume()
    await isEnough
    assert.ok(written >= received)
    stream.cancel()
    await cancelled
  })

  it('a connection that breaks ends it as unreachable', async (context) => {
    let begun: () => void = () => undefined
    const isBegun = new Promise<void>((resolve) => {
      begun = resolve
    })
    const [one, two] = await callers(context, {
      serverStream: new Map([
        [
          'silent',
          () => {
            begun()
            return NO_SOURCE
          },
        ],
      ]),
    })
    const told = collect()
    one.client.serverStream(2, 'Test/silent', Buffer.alloc(0), told)
    await isBegun
    await two.stop()
    assert.ok(fails(ERROR_CODES.unreachable)(await told.ended))
  })
})
