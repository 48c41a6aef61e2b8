// SPDX-License-Identifier: Apache-2.0
// A client of a cluster whose nodes fail: what it writes is done once, what it is told is certain, and its watches go on elsewhere.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PlatformError } from '#base/error'
import { ERROR_CODES, type ErrorCode } from '#base/error-code'
import type { Clock } from '#base/port/clock'
import type { KvClient, KvWatchMessage, KvWriteOptions } from '#contract/client/kv-client'
import type { RpcClient, RpcService, RpcSource } from '#contract/client/rpc'
import { ClusterKvClient, KV_SERVICE, kvRpcService, RpcKvClient } from '#meta'
import { SESSION_IDLE_MS_MAX } from '../../../../src/meta/machine/client-session.ts'
import { createMetaNode } from '../meta-node.ts'

const bytes = (text: string): Buffer => Buffer.from(text)

/** A clock whose timers fire at once, and move it on. */
class EagerClock implements Clock {
  nowMs = 0
  monotonic(): number {
    return this.nowMs
  }
  realtime(): number {
    return this.nowMs
  }
  after(delayMs: number, fire: () => void) {
    setImmediate(() => {
      this.nowMs += delayMs
      fire()
    })
    return { cancel: () => undefined }
  }
  endOfTurn(): void {
    throw new Error('no test here ends a turn')
  }
}

type Fault = 'none' | 'before' | 'after' | 'gone' | { readonly leader: number }

/** A way to a node on which calls and streams fail as told. */
class Wire implements RpcClient {
  fault: Fault = 'none'
  calls = 0
  readonly #service: RpcService
  readonly #streams = new Set<(error: PlatformError) => void>()

  constructor(kv: KvClient) {
    this.#service = kvRpcService(kv)
  }

  async unary(to: number, call: string, request: Buffer): Promise<Buffer> {
    this.calls++
    const handler = this.#service.unary.get(call.slice(KV_SERVICE.length + 1))
    assert.ok(handler !== undefined)
    if (typeof this.fault === 'object')
      throw new PlatformError(ERROR_CODES.notLeader, 'ask another', { detail: { leader: this.fault.leader } })
    if (this.fault === 'gone') throw failure(ERROR_CODES.unreachable)
    if (this.fault === 'before') throw failure(ERROR_CODES.outcomeUnknown)
    const reply = await handler(request, { nodeId: to, bootEpoch: 1 })
    if (this.fault === 'after') throw failure(ERROR_CODES.outcomeUnknown)
    return reply
  }

  serverStream(
    to: number,
    call: string,
    request: Buffer,
    handler: Parameters<RpcClient['serverStream']>[3],
  ): ReturnType<RpcClient['serverStream']> {
    const open = this.#service.serverStream.get(call.slice(KV_SERVICE.length + 1))
    assert.ok(open !== undefined)
    let source: RpcSource | undefined
    let over = false
    const end = (error: PlatformError | undefined): void => {
      if (over) return
      over = true
      this.#streams.delete(end)
      source?.onCancel()
      handler.onEnd(error)
    }
    setImmediate(() => {
      if (this.fault === 'gone') return end(failure(ERROR_CODES.unreachable))
      this.#streams.add(end)
      const write = (message: Buffer): boolean => {
        if (!over) handler.onMessage(message)
        setImmediate(() => source?.onDrain())
        return false
      }
      source = open(request, { write, end }, { nodeId: to, bootEpoch: 1 })
    })
    return { pause: () => undefined, resume: () => undefined, cancel: () => end(undefined) }
  }

  break(): void {
    this.fault = 'gone'
    for (const end of [...this.#streams]) end(failure(ERROR_CODES.unreachable))
  }
}

const failure = (code: ErrorCode): PlatformError => new PlatformError(code, 'the test says so')

/** Two ways to the same replica: what is tested is the client. */
async function createCluster() {
  const node = await createMetaNode()
  const wires = [new Wire(node.service.kv), new Wire(node.service.kv)] as const
  const clock = new EagerClock()
  const nodes = new Map(wires.map((wire, at) => [at + 1, new RpcKvClient(wire, at + 1)]))
  return { ...node, wires, eager: clock, client: new ClusterKvClient(nodes, clock) }
}

describe('R54: a write of a cluster client', () => {
  it('is done once when its answer is lost, and gives the answer of the first time', async () => {
    const { client, wires, service } = await createCluster()
    await client.put(bytes('warm'), bytes('up'))
    wires[0].fault = 'after'
    assert.deepEqual(await client.compareAndSet(bytes('k'), 0, bytes('v')), { kind: 'done', revision: 2 })
    assert.equal((await service.kv.get(bytes('k'))).item?.version, 1)
    assert.ok(wires[1].calls > 0)
  })

  it('is outcomeUnknown when no node answers after one may have done it, and unreachable when none can have', async () => {
    const { client, wires } = await createCluster()
    await client.put(bytes('warm'), bytes('up'))
    wires[0].fault = 'before'
    wires[1].fault = 'gone'
    await assert.rejects(client.put(bytes('k'), bytes('v'), { deadlineMs: 500 }), { code: ERROR_CODES.outcomeUnknown })
    wires[0].fault = 'gone'
    await assert.rejects(client.put(bytes('k'), bytes('v'), { deadlineMs: 500 }), { code: ERROR_CODES.unreachable })
  })

  it('goes on in a new session when the old one had ended before it', async () => {
    const { client, clock } = await createCluster()
    await client.put(bytes('k'), bytes('1'))
    clock.nowMs += SESSION_IDLE_MS_MAX
    assert.deepEqual(await client.put(bytes('k'), bytes('2')), { revision: 2 })
  })

  it('is not done again when the session ended while its outcome was unknown', async () => {
    const { client, clock, wires, service } = await createCluster()
    await client.put(bytes('k'), bytes('1'))
    wires[0].fault = 'after'
    const original = wires[1].unary.bind(wires[1])
    wires[1].unary = (to, call, request) => {
      clock.nowMs += 2 * SESSION_IDLE_MS_MAX
      return original(to, call, request)
    }
    await assert.rejects(client.put(bytes('k'), bytes('2')), { code: ERROR_CODES.outcomeUnknown })
    assert.equal((await service.kv.get(bytes('k'))).item?.version, 2)
  })

  it('is refused at once when it can never be done', async () => {
    const { client, wires } = await createCluster()
    await client.put(bytes('warm'), bytes('up'))
    const before = wires[0].calls + wires[1].calls
    await assert.rejects(client.put(bytes('k'), Buffer.alloc(1 << 20)), { code: ERROR_CODES.tooLarge })
    assert.equal(wires[0].calls + wires[1].calls, before + 1)
  })

  it('goes where an error points', async () => {
    const { client, wires } = await createCluster()
    wires[0].fault = { leader: 2 }
    await client.put(bytes('k'), bytes('v'))
    assert.equal(wires[0].calls, 1)
  })

  it('of which many are under way never runs ahead of what the session can remember', async () => {
    const sequences: number[] = []
    let highest = 0
    const open = new Set<number>()
    const node: Partial<KvClient> = {
      openSession: async () => 1,
      transaction: async (_transaction, { attempt }: KvWriteOptions = {}) => {
        const sequence = attempt?.sequence ?? 0
        sequences.push(sequence)
        open.add(sequence)
        highest = Math.max(highest, sequence)
        assert.ok(highest - Math.min(...open) < 32)
        for (let turns = sequence % 3; turns >= 0; turns--) await new Promise((resolve) => setImmediate(resolve))
        open.delete(sequence)
        return { succeeded: true, revision: 1, results: [{ kind: 'put' }] }
      },
    }
    const client = new ClusterKvClient(new Map([[1, node as KvClient]]), new EagerClock())
    await Promise.all(Array.from({ length: 200 }, () => client.put(bytes('k'), bytes('v'))))
    assert.deepEqual(
      [...sequences].sort((a, b) => a - b),
      Array.from({ length: 200 }, (_, at) => at + 1),
    )
  })
})

describe('a watch on another node', () => {
  it('ends with an error when that node sends what is no message', async () => {
    let cancelled = false
    const rpc: RpcClient = {
      unary: async () => Buffer.alloc(0),
      serverStream: (_to, _call, _request, handler) => {
        setImmediate(() => handler.onMessage(Buffer.from([0xff])))
        const cancel = (): void => {
          cancelled = true
        }
        return { pause: () => undefined, resume: () => undefined, cancel }
      },
    }
    await assert.rejects(new RpcKvClient(rpc, 1).watch({ gte: Buffer.alloc(0), lt: undefined }).next(), { code: ERROR_CODES.invalid })
    assert.ok(cancelled)
  })
})

describe('T13: a watch of a cluster client', () => {
  it('goes on at another node where it was, without a gap and without a repetition', async () => {
    const { client, wires, service } = await createCluster()
    await service.kv.put(bytes('k'), bytes('1'))
    const watch = client.watch({ gte: Buffer.alloc(0), lt: undefined })
    const told: KvWatchMessage[] = []
    const next = async (): Promise<void> => {
      const message = await watch.next()
      assert.ok(message !== undefined)
      told.push(message)
    }
    await next()
    await service.kv.put(bytes('k'), bytes('2'))
    await next()
    const waiting = next()
    wires[0].break()
    await service.kv.put(bytes('k'), bytes('3'))
    await waiting
    while (told.at(-1)?.kind !== 'events') await next()
    const revisions = told.map((message) => (message.kind === 'compacted' ? 0 : message.revision))
    assert.deepEqual(
      told.filter(({ kind }) => kind === 'events').map((message) => message.kind === 'events' && String(message.events[0]?.item.value)),
      ['2', '3'],
    )
    assert.deepEqual(
      revisions,
      [...revisions].sort((a, b) => a - b),
    )
    watch.close()
    assert.equal(await watch.next(), undefined)
  })
})
