// SPDX-License-Identifier: Apache-2.0
// The retained view: the latest message of each topic, by position in its log (D10, Q14).
//
// A removal leaves a tombstone with its position, since a log's owner writes its retained records again, in order, from a watermark after a
// crash: without it, a removed value would show up until its removal is written again. It stays for an hour of the proposers' time, which is
// far longer than that takes. Even without any tombstone the view would end up right: the removal always comes again, too.
import { assert, assertNever } from '#base/assert'
import { decodeCount, encodeCount } from '../codec/count-codec.ts'
import type { GroupKeys } from '../codec/key.ts'
import { decodeHead, encodeHead, type RetainedHead } from '../codec/retained-codec.ts'
import { COMMAND } from '../command/command.ts'
import { decodeRetainedCommand, type EncodedWrite, type RetainedCommand, type RetainedReply } from '../command/retained-command.ts'
import type { Machine, ReadSet, StateView } from './state-machine.ts'

export const TOMBSTONE_MS = 3_600_000

export class RetainedMachine implements Machine<RetainedCommand> {
  readonly commandTypes = [COMMAND.retain, COMMAND.collectRetained]
  readonly #keys: GroupKeys

  constructor(keys: GroupKeys) {
    this.#keys = keys
  }

  decode(type: number, body: Buffer): RetainedCommand {
    return decodeRetainedCommand(type, body)
  }

  declareReads(command: RetainedCommand, reads: ReadSet): void {
    reads.key(this.#keys.retainedCount)
    reads.key(this.#keys.retainedBytes)
    if (command.kind === 'retain') {
      for (const { topic } of command.writes) reads.key(this.#keys.retainedHead(command.tenant, topic))
    } else {
      for (const { tenant, topic } of command.dues) reads.key(this.#keys.retainedHead(tenant, topic))
    }
  }

  apply(command: RetainedCommand, view: StateView): RetainedReply {
    const before = { count: decodeCount(view.get(this.#keys.retainedCount)), bytes: decodeCount(view.get(this.#keys.retainedBytes)) }
    const size = { ...before }
    switch (command.kind) {
      case 'retain':
        for (const write of command.writes) this.#store(command.tenant, write, command.nowMs, view, size)
        break
      case 'collect':
        for (const { tenant, topic, dueMs } of command.dues) this.#collect(tenant, topic, dueMs, command.nowMs, view, size)
        break
      default:
        return assertNever(command)
    }
    if (size.count !== before.count) view.put(this.#keys.retainedCount, encodeCount(size.count))
    if (size.bytes !== before.bytes) view.put(this.#keys.retainedBytes, encodeCount(size.bytes))
    return size
  }

  #store(tenant: string, write: EncodedWrite, nowMs: number, view: StateView, size: Size): void {
    const { topic, log, position, appendTimeMs, body } = write
    const old = this.#head(tenant, topic, view)
    if (old !== undefined && isStale(write, old)) return
    if (body === undefined) {
      this.#bury(tenant, topic, { log, position, appendTimeMs }, old, nowMs, view)
    } else {
      view.put(this.#keys.retainedBody(tenant, topic), body)
      const head = { log, position, appendTimeMs, removed: false, dueMs: write.expiryMs, sizeBytes: body.length }
      this.#replace(tenant, topic, head, old, view)
    }
    size.count += liveCount(body !== undefined) - liveCount(old !== undefined && !old.removed)
    grow(size, (body?.length ?? 0) - (old?.sizeBytes ?? 0))
  }

  /** An expired message becomes a tombstone; a tombstone goes. */
  #collect(tenant: string, topic: string, dueMs: number, nowMs: number, view: StateView, size: Size): void {
    assert(dueMs <= nowMs, 'only what is due is collected')
    const old = this.#head(tenant, topic, view)
    if (old === undefined || old.dueMs !== dueMs) return
    if (!old.removed) {
      this.#bury(tenant, topic, old, old, nowMs, view)
      size.count--
      grow(size, -old.sizeBytes)
      return
    }
    view.delete(this.#keys.retainedHead(tenant, topic))
    view.delete(this.#keys.retainedDue(dueMs, tenant, topic))
  }

  #bury(
    tenant: string,
    topic: string,
    { log, position, appendTimeMs }: Pick<RetainedHead, 'log' | 'position' | 'appendTimeMs'>,
    old: RetainedHead | undefined,
    nowMs: number,
    view: StateView,
  ): void {
    view.delete(this.#keys.retainedBody(tenant, topic))
    const tombstone = { log, position, appendTimeMs, removed: true, dueMs: nowMs + TOMBSTONE_MS, sizeBytes: 0 }
    this.#replace(tenant, topic, tombstone, old, view)
  }

  #replace(tenant: string, topic: string, head: RetainedHead, old: RetainedHead | undefined, view: StateView): void {
    if (old !== undefined && old.dueMs !== 0) view.delete(this.#keys.retainedDue(old.dueMs, tenant, topic))
    if (head.dueMs !== 0) view.put(this.#keys.retainedDue(head.dueMs, tenant, topic), DUE)
    view.put(this.#keys.retainedHead(tenant, topic), encodeHead(head))
  }

  #head(tenant: string, topic: string, view: StateView): RetainedHead | undefined {
    const bytes = view.get(this.#keys.retainedHead(tenant, topic))
    return bytes === undefined ? undefined : decodeHead(bytes)
  }
}

/** Whether what is there is newer. */
function isStale(write: EncodedWrite, old: RetainedHead): boolean {
  if (old.log === write.log) return old.position >= write.position
  return write.isRepeated && old.appendTimeMs > write.appendTimeMs
}

/** All is in the key. */
const DUE = Buffer.of(1)

/** What is kept, while a command is applied. */
interface Size {
  count: number
  bytes: number
}

/** Never below zero: stores written before bytes were counted begin at zero. */
function grow(size: Size, bytes: number): void {
  size.bytes = Math.max(0, size.bytes + bytes)
}

const liveCount = (live: boolean): number => (live ? 1 : 0)
