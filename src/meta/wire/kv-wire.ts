// SPDX-License-Identifier: Apache-2.0
// The messages of the service MetaKv, after contract/proto/meta.proto. Decoders throw invalid; keys and values are views into the message.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type {
  KvAction,
  KvActionResult,
  KvAttempt,
  KvCompare,
  KvEvent,
  KvGetReply,
  KvItem,
  KvRangeReply,
  KvRangeRequest,
  KvTransaction,
  KvTransactionReply,
  KvWatchMessage,
  KvWatchRequest,
} from '#contract/client/kv-client'
import { ProtoFields, ProtoWriter } from './proto-fields.ts'

export const KV_SERVICE = 'MetaKv'
export const KV_METHOD = Object.freeze({ get: 'get', range: 'range', transact: 'transact', openSession: 'openSession', watch: 'watch' })

const ACTION = { get: 1, put: 2, delete: 3, deleteSpan: 4 } as const
const RESULT = { get: 1, put: 2, delete: 3 } as const
const EVENT = { put: 1, delete: 2 } as const
const WATCH = { events: 1, progress: 2, compacted: 3 } as const

export interface GetRequest {
  readonly key: Buffer
  readonly stale: boolean
}

export interface RangeRequest {
  readonly request: KvRangeRequest
  readonly stale: boolean
}

export interface TransactRequest {
  readonly transaction: KvTransaction
  readonly attempt: KvAttempt | undefined
}

export const encodeGetRequest = ({ key, stale }: GetRequest): Buffer => new ProtoWriter().bytes(1, key).flag(2, stale).take()

export function decodeGetRequest(message: Buffer): GetRequest {
  const fields = new ProtoFields(message)
  return { key: fields.bytes(1), stale: fields.flag(2) }
}

export const encodeGetReply = ({ revision, item }: KvGetReply): Buffer =>
  new ProtoWriter()
    .number(1, revision)
    .optionalBytes(2, item && encodeItem(item))
    .take()

export function decodeGetReply(message: Buffer): KvGetReply {
  const fields = new ProtoFields(message)
  return { revision: fields.number(1), item: optionalItem(fields, 2) }
}

export const encodeRangeRequest = ({ request: { gte, lt, limit, keysOnly }, stale }: RangeRequest): Buffer =>
  new ProtoWriter()
    .bytes(1, gte)
    .optionalBytes(2, lt)
    .number(3, limit ?? 0)
    .flag(4, keysOnly ?? false)
    .flag(5, stale)
    .take()

export function decodeRangeRequest(message: Buffer): RangeRequest {
  const fields = new ProtoFields(message)
  const limit = fields.number(3)
  const span = { gte: fields.bytes(1), lt: fields.optionalBytes(2), keysOnly: fields.flag(4) }
  return { request: limit === 0 ? span : { ...span, limit }, stale: fields.flag(5) }
}

export const encodeRangeReply = ({ revision, items, more }: KvRangeReply): Buffer =>
  new ProtoWriter().number(1, revision).messages(2, items, encodeItem).flag(3, more).take()

export function decodeRangeReply(message: Buffer): KvRangeReply {
  const fields = new ProtoFields(message)
  return { revision: fields.number(1), items: fields.messages(2, decodeItem), more: fields.flag(3) }
}

export function encodeTransactRequest({ transaction: { compares, success, failure }, attempt }: TransactRequest): Buffer {
  const writer = new ProtoWriter()
    .messages(1, compares, encodeCompare)
    .messages(2, success, encodeAction)
    .messages(3, failure, encodeAction)
  return writer
    .number(4, attempt?.session ?? 0)
    .number(5, attempt?.sequence ?? 0)
    .take()
}

export function decodeTransactRequest(message: Buffer): TransactRequest {
  const fields = new ProtoFields(message)
  const [session, sequence] = [fields.number(4), fields.number(5)]
  return {
    transaction: {
      compares: fields.messages(1, decodeCompare),
      success: fields.messages(2, decodeAction),
      failure: fields.messages(3, decodeAction),
    },
    attempt: session === 0 ? undefined : { session, sequence },
  }
}

export const encodeTransactReply = ({ succeeded, revision, results }: KvTransactionReply): Buffer =>
  new ProtoWriter().flag(1, succeeded).number(2, revision).messages(3, results, encodeResult).take()

export function decodeTransactReply(message: Buffer): KvTransactionReply {
  const fields = new ProtoFields(message)
  return { succeeded: fields.flag(1), revision: fields.number(2), results: fields.messages(3, decodeResult) }
}

export const encodeOpenSessionReply = (session: number): Buffer => new ProtoWriter().number(1, session).take()

export const decodeOpenSessionReply = (message: Buffer): number => new ProtoFields(message).number(1)

export const encodeWatchRequest = ({ gte, lt, fromRevision, previousValues }: KvWatchRequest): Buffer =>
  new ProtoWriter()
    .bytes(1, gte)
    .optionalBytes(2, lt)
    .number(3, fromRevision ?? 0)
    .flag(4, previousValues ?? false)
    .take()

export function decodeWatchRequest(message: Buffer): KvWatchRequest {
  const fields = new ProtoFields(message)
  const fromRevision = fields.number(3)
  const request = { gte: fields.bytes(1), lt: fields.optionalBytes(2), previousValues: fields.flag(4) }
  return fromRevision === 0 ? request : { ...request, fromRevision }
}

export function encodeWatchMessage(message: KvWatchMessage): Buffer {
  const writer = new ProtoWriter().number(1, WATCH[message.kind])
  if (message.kind === 'compacted') return writer.number(2, message.firstRevision).take()
  writer.number(2, message.revision)
  return (message.kind === 'events' ? writer.messages(3, message.events, encodeEvent) : writer).take()
}

export function decodeWatchMessage(message: Buffer): KvWatchMessage {
  const fields = new ProtoFields(message)
  const revision = fields.number(2)
  const kind = fields.number(1)
  if (kind === WATCH.events) return { kind: 'events', revision, events: fields.messages(3, decodeEvent) }
  if (kind === WATCH.progress) return { kind: 'progress', revision }
  if (kind === WATCH.compacted) return { kind: 'compacted', firstRevision: revision }
  throw unknown('message of a watch', kind)
}

const encodeItem = ({ key, value, createRevision, modRevision, version }: KvItem): Buffer =>
  new ProtoWriter().bytes(1, key).bytes(2, value).number(3, createRevision).number(4, modRevision).number(5, version).take()

function decodeItem(message: Buffer): KvItem {
  const fields = new ProtoFields(message)
  return {
    key: fields.bytes(1),
    value: fields.bytes(2),
    createRevision: fields.number(3),
    modRevision: fields.number(4),
    version: fields.number(5),
  }
}

function optionalItem(fields: ProtoFields, field: number): KvItem | undefined {
  const message = fields.optionalBytes(field)
  return message && decodeItem(message)
}

function encodeCompare(compare: KvCompare): Buffer {
  const writer = new ProtoWriter().bytes(1, compare.key)
  return (compare.kind === 'revision' ? writer.optionalNumber(2, compare.revision) : writer.optionalBytes(3, compare.value)).take()
}

function decodeCompare(message: Buffer): KvCompare {
  const fields = new ProtoFields(message)
  const key = fields.bytes(1)
  const value = fields.optionalBytes(3)
  return value === undefined ? { kind: 'revision', key, revision: fields.number(2) } : { kind: 'value', key, value }
}

function encodeAction(action: KvAction): Buffer {
  const writer = new ProtoWriter().number(1, ACTION[action.kind])
  if (action.kind === 'deleteSpan') return writer.bytes(2, action.span.gte).optionalBytes(4, action.span.lt).take()
  writer.bytes(2, action.key)
  return (action.kind === 'put' ? writer.bytes(3, action.value) : writer).take()
}

function decodeAction(message: Buffer): KvAction {
  const fields = new ProtoFields(message)
  const kind = fields.number(1)
  const key = fields.bytes(2)
  if (kind === ACTION.get) return { kind: 'get', key }
  if (kind === ACTION.put) return { kind: 'put', key, value: fields.bytes(3) }
  if (kind === ACTION.delete) return { kind: 'delete', key }
  if (kind === ACTION.deleteSpan) return { kind: 'deleteSpan', span: { gte: key, lt: fields.optionalBytes(4) } }
  throw unknown('action', kind)
}

function encodeResult(result: KvActionResult): Buffer {
  const writer = new ProtoWriter().number(1, RESULT[result.kind])
  if (result.kind === 'get') writer.optionalBytes(2, result.item && encodeItem(result.item))
  if (result.kind === 'delete') writer.number(3, result.deleted)
  return writer.take()
}

function decodeResult(message: Buffer): KvActionResult {
  const fields = new ProtoFields(message)
  const kind = fields.number(1)
  if (kind === RESULT.get) return { kind: 'get', item: optionalItem(fields, 2) }
  if (kind === RESULT.put) return { kind: 'put' }
  if (kind === RESULT.delete) return { kind: 'delete', deleted: fields.number(3) }
  throw unknown('result', kind)
}

const encodeEvent = ({ kind, item, previous }: KvEvent): Buffer =>
  new ProtoWriter()
    .number(1, EVENT[kind])
    .bytes(2, encodeItem(item))
    .optionalBytes(3, previous && encodeItem(previous))
    .take()

function decodeEvent(message: Buffer): KvEvent {
  const fields = new ProtoFields(message)
  const kind = fields.number(1)
  if (kind !== EVENT.put && kind !== EVENT.delete) throw unknown('event', kind)
  return { kind: kind === EVENT.put ? 'put' : 'delete', item: decodeItem(fields.bytes(2)), previous: optionalItem(fields, 3) }
}

const unknown = (what: string, kind: number): PlatformError =>
  new PlatformError(ERROR_CODES.invalid, `a message between nodes has a ${what} of kind ${kind}; run versions that go together`)
