// SPDX-License-Identifier: Apache-2.0
// The command on the key-value table, with its bytes and its reply. Every write is a transaction: a put is one with one action and no compare.
//
//   transaction := version-u8 compares actions actions
//   compares    := count-u16 (kind-u8 key (revision-u64 | value))*
//   actions     := count-u16 (kind-u8 key [value | end?])*
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import {
  KV_LIMITS,
  type KvAction,
  type KvCompare,
  type KvSpan,
  type KvTransaction,
  type KvTransactionReply,
} from '#contract/client/kv-client'
import { FieldReader } from '../codec/field-reader.ts'
import { FieldWriter } from '../codec/field-writer.ts'
import { COMMAND, type Command } from './command.ts'

const VERSION = 1
/** Numbers are part of the format: append only. */
const COMPARE = { revision: 1, value: 2 } as const
const ACTION = { get: 1, put: 2, delete: 3, deleteSpan: 4 } as const

/** 'tooLarge': it would have touched more than the limits allow, and changed nothing. */
export type KvReply = ({ readonly kind: 'done' } & KvTransactionReply) | { readonly kind: 'tooLarge' }

export function transactKv({ compares, success, failure }: KvTransaction): Command<KvReply> {
  const writer = new FieldWriter(VERSION).uint16(compares.length)
  for (const compare of compares) {
    writer.uint8(COMPARE[compare.kind]).blob(compare.key)
    if (compare.kind === 'revision') writer.uint64(compare.revision)
    else writer.blob(compare.value)
  }
  writeActions(writer, success)
  writeActions(writer, failure)
  return { type: COMMAND.transactKv, body: writer.take() }
}

/** Keys and values are views into `body`. */
export function decodeKvCommand(body: Buffer): KvTransaction {
  const reader = new FieldReader(body, VERSION, 'a key-value command')
  const compares: KvCompare[] = []
  for (let left = reader.uint16(); left > 0; left--) {
    const kind = reader.uint8()
    const key = reader.blob()
    if (kind === COMPARE.revision) compares.push({ kind: 'revision', key, revision: reader.uint64() })
    else if (kind === COMPARE.value) compares.push({ kind: 'value', key, value: reader.blob() })
    else throw unknownPart('compare', kind)
  }
  const transaction = { compares, success: readActions(reader), failure: readActions(reader) }
  reader.end()
  return transaction
}

/** Rejects what is above the limits or ambiguous. Throws invalid or tooLarge. */
export function checkTransaction({ compares, success, failure }: KvTransaction): void {
  if (compares.length + success.length + failure.length > KV_LIMITS.transactionPartsMax)
    throw tooLarge(`a transaction has at most ${KV_LIMITS.transactionPartsMax} compares and actions`)
  let bytes = 0
  for (const compare of compares) bytes += checkKey(compare.key) + (compare.kind === 'value' ? compare.value.length : 0)
  for (const branch of [success, failure]) {
    if (branch.filter(({ kind }) => kind === 'deleteSpan').length > KV_LIMITS.deleteSpansMax)
      throw tooLarge(`a transaction deletes at most ${KV_LIMITS.deleteSpansMax} spans`)
    for (const action of branch) bytes += checkAction(action)
    checkDisjoint(branch)
  }
  if (bytes > KV_LIMITS.transactionBytesMax) throw tooLarge(`a transaction has at most ${KV_LIMITS.transactionBytesMax} bytes`)
}

/** Throws invalid or tooLarge; gives the bytes of the key. */
export function checkKey(key: Buffer): number {
  if (key.length === 0) throw new PlatformError(ERROR_CODES.invalid, 'a key has at least one byte')
  if (key.length > KV_LIMITS.keyBytesMax) throw tooLarge(`a key has at most ${KV_LIMITS.keyBytesMax} bytes`)
  return key.length
}

/** Throws invalid or tooLarge; gives the bytes of the ends. */
export function checkSpan({ gte, lt }: KvSpan): number {
  const bytes = gte.length + (lt?.length ?? 0)
  if (Math.max(gte.length, lt?.length ?? 0) > KV_LIMITS.keyBytesMax) throw tooLarge(`a key has at most ${KV_LIMITS.keyBytesMax} bytes`)
  if (lt !== undefined && gte.compare(lt) > 0) throw new PlatformError(ERROR_CODES.invalid, 'a span begins before it ends')
  return bytes
}

function checkAction(action: KvAction): number {
  if (action.kind === 'deleteSpan') return checkSpan(action.span)
  const bytes = checkKey(action.key)
  if (action.kind !== 'put') return bytes
  if (action.value.length > KV_LIMITS.valueBytesMax) throw tooLarge(`a value has at most ${KV_LIMITS.valueBytesMax} bytes`)
  return bytes + action.value.length
}

/** What one branch writes does not overlap: all of it happens at one revision, so there is no order in which it could. */
function checkDisjoint(branch: readonly KvAction[]): void {
  const written: { readonly gte: Buffer; readonly lt: Buffer | undefined }[] = []
  for (const action of branch) {
    if (action.kind === 'deleteSpan') written.push(action.span)
    else if (action.kind !== 'get') written.push({ gte: action.key, lt: Buffer.concat([action.key, Buffer.of(0)]) })
  }
  written.sort((a, b) => a.gte.compare(b.gte))
  for (let at = 1; at < written.length; at++) {
    const [before, after] = [written[at - 1] as KvSpan, written[at] as KvSpan]
    if (before.lt === undefined || before.lt.compare(after.gte) > 0)
      throw new PlatformError(ERROR_CODES.invalid, 'a transaction writes a key only once: put it into one action')
  }
}

function writeActions(writer: FieldWriter, actions: readonly KvAction[]): void {
  writer.uint16(actions.length)
  for (const action of actions) {
    writer.uint8(ACTION[action.kind])
    if (action.kind === 'deleteSpan') writer.blob(action.span.gte).optionalBlob(action.span.lt)
    else writer.blob(action.key)
    if (action.kind === 'put') writer.blob(action.value)
  }
}

function readActions(reader: FieldReader): readonly KvAction[] {
  const actions: KvAction[] = []
  for (let left = reader.uint16(); left > 0; left--) {
    const kind = reader.uint8()
    const key = reader.blob()
    if (kind === ACTION.get) actions.push({ kind: 'get', key })
    else if (kind === ACTION.put) actions.push({ kind: 'put', key, value: reader.blob() })
    else if (kind === ACTION.delete) actions.push({ kind: 'delete', key })
    else if (kind === ACTION.deleteSpan) actions.push({ kind: 'deleteSpan', span: { gte: key, lt: reader.optionalBlob() } })
    else throw unknownPart('action', kind)
  }
  return actions
}

const unknownPart = (what: string, kind: number): PlatformError =>
  new PlatformError(ERROR_CODES.dataVersion, `a transaction has ${what} ${kind}, which this program does not know; run a newer one`)

const tooLarge = (rule: string): PlatformError => new PlatformError(ERROR_CODES.tooLarge, `${rule}; write less at a time`)
