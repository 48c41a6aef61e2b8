// SPDX-License-Identifier: Apache-2.0
// The key-value table against a model of it: what a transaction finds, changes, and leaves as history.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ERROR_CODES, type ErrorCode } from '#base/error-code'
import { KV_LIMITS, type KvAction, type KvCompare, type KvItem, type KvSpan, type KvTransaction } from '#contract/client/kv-client'
import { createMetaMachine } from '#meta'
import { GroupKeys } from '../../../../src/meta/codec/key.ts'
import { decodeEvents, decodeKvHead, firstRevisionOf } from '../../../../src/meta/codec/kv-codec.ts'
import { encodeEntry } from '../../../../src/meta/command/command.ts'
import { checkTransaction, type KvReply, transactKv } from '../../../../src/meta/command/kv-command.ts'
import { normalEntry } from '../fake-group.ts'
import { MemoryKv } from '../memory-kv.ts'

const KEYS = new GroupKeys(1)
const metadataMachine = (kv: MemoryKv) => createMetaMachine('metadata', 1, 0, 1, kv)
const bytes = (text: string): Buffer => Buffer.from(text)
const put = (key: string, value: string): KvTransaction => ({
  compares: [],
  success: [{ kind: 'put', key: bytes(key), value: bytes(value) }],
  failure: [],
})
const deleteSpan = (gte: string, lt: string | undefined): KvTransaction => ({
  compares: [],
  success: [{ kind: 'deleteSpan', span: { gte: bytes(gte), lt: lt === undefined ? undefined : bytes(lt) } }],
  failure: [],
})

/** The obvious implementation. */
class Model {
  revision = 0
  readonly items = new Map<string, KvItem>()
  readonly changes = new Map<number, readonly string[]>()

  apply({ compares, success, failure }: KvTransaction): KvReply {
    const succeeded = compares.every((compare) => this.#holds(compare))
    const next = this.revision + 1
    const changed: string[] = []
    const results = (succeeded ? success : failure).map((action) => this.#act(action, next, changed))
    if (changed.length > 0) {
      this.revision = next
      this.changes.set(next, changed)
    }
    return { kind: 'done', succeeded, revision: this.revision, results }
  }

  #holds(compare: KvCompare): boolean {
    const item = this.items.get(String(compare.key))
    return compare.kind === 'revision' ? (item?.modRevision ?? 0) === compare.revision : item?.value.equals(compare.value) === true
  }

  #act(action: KvAction, revision: number, changed: string[]) {
    if (action.kind === 'deleteSpan') {
      const inside = [...this.items.keys()].filter((key) => within(key, action.span)).sort()
      for (const key of inside) this.#remove(key, changed)
      return { kind: 'delete', deleted: inside.length } as const
    }
    const key = String(action.key)
    const before = this.items.get(key)
    if (action.kind === 'get') return { kind: 'get', item: before } as const
    if (action.kind === 'delete') return { kind: 'delete', deleted: before === undefined ? 0 : this.#remove(key, changed) } as const
    this.items.set(key, {
      key: action.key,
      value: action.value,
      createRevision: before?.createRevision ?? revision,
      modRevision: revision,
      version: (before?.version ?? 0) + 1,
    })
    changed.push(`put ${key}=${action.value} was ${before?.value}`)
    return { kind: 'put' } as const
  }

  #remove(key: string, changed: string[]): number {
    changed.push(`delete ${key} was ${this.items.get(key)?.value}`)
    this.items.delete(key)
    return 1
  }
}

const within = (key: string, { gte, lt }: KvSpan): boolean => key >= String(gte) && (lt === undefined || key < String(lt))

const keyText = fc.constantFrom('a', 'a1', 'b', 'c', 'd')
const key = keyText.map(bytes)
const value = fc.constantFrom('', 'x', 'yy').map(bytes)
const compare: fc.Arbitrary<KvCompare> = fc.oneof(
  fc.record({ kind: fc.constant('revision' as const), key, revision: fc.nat(6) }),
  fc.record({ kind: fc.constant('value' as const), key, value }),
)
const action: fc.Arbitrary<KvAction> = fc.oneof(
  fc.record({ kind: fc.constant('get' as const), key }),
  fc.record({ kind: fc.constant('put' as const), key, value }),
  fc.record({ kind: fc.constant('put' as const), key, value }),
  fc.record({ kind: fc.constant('delete' as const), key }),
  fc
    .tuple(keyText, fc.option(keyText, { nil: undefined }))
    .filter(([gte, lt]) => lt === undefined || gte <= lt)
    .map(([gte, lt]) => ({ kind: 'deleteSpan' as const, span: { gte: bytes(gte), lt: lt === undefined ? undefined : bytes(lt) } })),
)
const isAllowed = (transaction: KvTransaction): boolean => {
  try {
    checkTransaction(transaction)
    return true
  } catch {
    return false
  }
}
const transaction = fc
  .record({
    compares: fc.array(compare, { maxLength: 2 }),
    success: fc.array(action, { maxLength: 3 }),
    failure: fc.array(action, { maxLength: 2 }),
  })
  .filter(isAllowed)

describe('the key-value table', () => {
  it('answers as its model does, holds the same items, and keeps the same history, however the transactions are packed', async () => {
    const entries = fc.array(fc.array(transaction, { minLength: 1, maxLength: 5 }), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(entries, fc.nat(12), async (list, cut) => {
        const kv = new MemoryKv()
        const machine = metadataMachine(kv)
        const packed = list.map((transactions, at) => normalEntry(at + 1, encodeEntry(transactions.map(transactKv))))
        const replies = [...(await machine.apply(packed.slice(0, cut))), ...(await machine.apply(packed.slice(cut)))].flat()
        const model = new Model()
        assert.deepEqual(
          replies,
          list.flat().map((one) => model.apply(one)),
        )
        const found = await kv.scan(KEYS.kvPairs({ gte: Buffer.alloc(0), lt: undefined }))
        assert.deepEqual(
          found.map(({ key: stored }) => stored.toString('utf8', 6)),
          [...model.items.keys()].sort(),
        )
        for (let revision = 1; revision <= model.revision; revision++) {
          const events = decodeEvents(revision, (await kv.get(KEYS.kvEvents(revision))) ?? Buffer.alloc(0))
          const texts = events.map(
            ({ kind, item, previous }) => `${kind} ${item.key}${kind === 'put' ? `=${item.value}` : ''} was ${previous?.value}`,
          )
          assert.deepEqual(texts, model.changes.get(revision))
        }
      }),
      { numRuns: 300 },
    )
  })

  it('sees a span as the command before it left it, in the same entry and batch', async () => {
    const machine = metadataMachine(new MemoryKv())
    const [replies] = (await machine.apply([
      normalEntry(
        1,
        encodeEntry([put('a', '1'), put('b', '2'), deleteSpan('a', 'b'), put('a', '3'), deleteSpan('a', undefined)].map(transactKv)),
      ),
    ])) as [KvReply[]]
    assert.deepEqual(
      replies.map((reply) => reply.kind === 'done' && [reply.revision, reply.results[0]]),
      [
        [1, { kind: 'put' }],
        [2, { kind: 'put' }],
        [3, { kind: 'delete', deleted: 1 }],
        [4, { kind: 'put' }],
        [5, { kind: 'delete', deleted: 2 }],
      ],
    )
  })

  it('changes nothing when a transaction would touch too many keys or bytes', async () => {
    const kv = new MemoryKv()
    const machine = metadataMachine(kv)
    const big = 'x'.repeat(KV_LIMITS.valueBytesMax)
    const fill = Array.from({ length: KV_LIMITS.affectedPairsMax + 1 }, (_, at) => put(`n${String(at).padStart(5, '0')}`, ''))
    const heavy = Array.from({ length: 5 }, (_, at) => put(`v${at}`, big))
    await machine.apply([normalEntry(1, encodeEntry(fill.map(transactKv))), normalEntry(2, encodeEntry(heavy.map(transactKv)))])
    const before = kv.size
    const get = (at: number): KvAction => ({ kind: 'get', key: bytes(`v${at}`) })
    const tries = [deleteSpan('n', 'o'), deleteSpan('v', 'w'), { compares: [], success: [0, 1, 2, 3, 4].map(get), failure: [] }]
    const [replies] = (await machine.apply([normalEntry(3, encodeEntry(tries.map(transactKv)))])) as [KvReply[]]
    assert.deepEqual(
      replies.map(({ kind }) => kind),
      ['tooLarge', 'tooLarge', 'tooLarge'],
    )
    assert.equal(kv.size, before)
    const [fits] = (await machine.apply([normalEntry(4, encodeEntry([transactKv(deleteSpan('n00001', 'o'))]))])) as [KvReply[]]
    assert.deepEqual(fits?.[0]?.kind === 'done' && fits[0].results, [{ kind: 'delete', deleted: KV_LIMITS.affectedPairsMax }])
  })

  it('keeps a bounded history, without a hole from the first revision that it names to the last', async () => {
    const kv = new MemoryKv()
    const machine = metadataMachine(kv)
    const total = 20_000
    for (let index = 1, made = 0; made < total; index++) {
      const part = Array.from({ length: 250 }, () => put('k', `${made++}`))
      await machine.apply([normalEntry(index, encodeEntry(part.map(transactKv)))])
    }
    const head = decodeKvHead(await kv.get(KEYS.kvHead))
    assert.equal(head.revision, total)
    const first = firstRevisionOf(head)
    assert.equal((await kv.scan({ gte: KEYS.kvEvents(0), lt: KEYS.kvEvents(first), limit: 1 })).length, 0)
    const kept = await kv.scan({ gte: KEYS.kvEvents(first), lt: KEYS.kvEvents(total + 1), limit: total })
    assert.equal(kept.length, total - first + 1)
    assert.ok(kept.length <= 64 * 256 && kept.length > 63 * 256, `${kept.length} revisions are kept`)
  })
})

describe('what a transaction may be', () => {
  const refusedAs = (code: ErrorCode, changes: Partial<KvTransaction>): void => {
    assert.throws(() => checkTransaction({ compares: [], success: [], failure: [], ...changes }), { code })
  }

  it('writes no key twice in a branch, be it by a span', () => {
    const write: KvAction = { kind: 'put', key: bytes('k'), value: bytes('v') }
    refusedAs(ERROR_CODES.invalid, { success: [write, { kind: 'delete', key: bytes('k') }] })
    refusedAs(ERROR_CODES.invalid, { failure: [{ kind: 'deleteSpan', span: { gte: bytes('a'), lt: bytes('l') } }, write] })
    refusedAs(ERROR_CODES.invalid, { failure: [{ kind: 'deleteSpan', span: { gte: bytes('a'), lt: undefined } }, write] })
    checkTransaction({
      compares: [],
      success: [write, { kind: 'deleteSpan', span: { gte: bytes('a'), lt: bytes('k') } }],
      failure: [write],
    })
  })

  it('is bounded in parts and bytes', () => {
    refusedAs(ERROR_CODES.invalid, { success: [{ kind: 'delete', key: Buffer.alloc(0) }] })
    refusedAs(ERROR_CODES.tooLarge, { success: [{ kind: 'delete', key: Buffer.alloc(KV_LIMITS.keyBytesMax + 1) }] })
    refusedAs(ERROR_CODES.tooLarge, { success: [{ kind: 'put', key: bytes('k'), value: Buffer.alloc(KV_LIMITS.valueBytesMax + 1) }] })
    const get: KvAction = { kind: 'get', key: bytes('k') }
    refusedAs(ERROR_CODES.tooLarge, { success: Array.from({ length: KV_LIMITS.transactionPartsMax + 1 }, () => get) })
    refusedAs(ERROR_CODES.tooLarge, {
      success: ['a', 'b', 'c'].map((name) => ({ kind: 'put', key: bytes(name), value: Buffer.alloc(KV_LIMITS.transactionBytesMax / 2) })),
    })
    refusedAs(ERROR_CODES.tooLarge, {
      success: Array.from({ length: KV_LIMITS.deleteSpansMax + 1 }, (_, at) => ({
        kind: 'deleteSpan',
        span: { gte: bytes(`${at}`), lt: bytes(`${at}`) },
      })),
    })
  })
})
