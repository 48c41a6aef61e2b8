// SPDX-License-Identifier: Apache-2.0
// The replicated key-value store of the cluster, for its own metadata. Linearizable, with a history that can be watched.
//
// Every transaction that changes something takes the next revision: revisions are dense, from 1, and equal on all replicas. Whoever holds a
// key as a lock must show the revision of his claim to what he guards, and that must refuse lower ones: no lease tells him in time
// that he has lost it (RELIABILITY R31).
//
// Rejections: notLeader, proposalDropped, unreachable, notReady and stopping (nothing was done), outcomeUnknown (perhaps done), invalid, tooLarge,
// and sessionExpired. Expected outcomes are values.

/** 0: before the first change. */
export type KvRevision = number

/** Bounds of what a client may ask for. More is rejected with `tooLarge`. */
export const KV_LIMITS = Object.freeze({
  keyBytesMax: 4096,
  valueBytesMax: 1 << 18,
  /** Compares and operations of a transaction, both branches counted. */
  transactionPartsMax: 128,
  transactionBytesMax: 1 << 19,
  /** In one branch. */
  deleteSpansMax: 8,
  /** What a transaction may replace, delete and return, and the pairs that one delete of a range may find. */
  affectedBytesMax: 1 << 20,
  affectedPairsMax: 1000,
  rangePairsMax: 1000,
  rangeBytesMax: 1 << 20,
})

export interface KvItem {
  readonly key: Buffer
  readonly value: Buffer
  readonly createRevision: KvRevision
  readonly modRevision: KvRevision
  /** Changes since it was created, from 1. */
  readonly version: number
}

/** All keys from `gte` on, below `lt`; to the last key when that is undefined. */
export interface KvSpan {
  readonly gte: Buffer
  readonly lt: Buffer | undefined
}

/** True when the key has this modification revision (0: it does not exist), or this value. */
export type KvCompare =
  | { readonly kind: 'revision'; readonly key: Buffer; readonly revision: KvRevision }
  | { readonly kind: 'value'; readonly key: Buffer; readonly value: Buffer }

export type KvAction =
  | { readonly kind: 'get'; readonly key: Buffer }
  | { readonly kind: 'put'; readonly key: Buffer; readonly value: Buffer }
  | { readonly kind: 'delete'; readonly key: Buffer }
  | { readonly kind: 'deleteSpan'; readonly span: KvSpan }

/** Aligned with the actions: what was found, or how many keys were deleted. */
export type KvActionResult =
  | { readonly kind: 'get'; readonly item: KvItem | undefined }
  | { readonly kind: 'put' }
  | { readonly kind: 'delete'; readonly deleted: number }

/** `success` is done when all compares are true, else `failure`: all of it at one revision, or nothing. No key is written twice in one branch. */
export interface KvTransaction {
  readonly compares: readonly KvCompare[]
  readonly success: readonly KvAction[]
  readonly failure: readonly KvAction[]
}

export interface KvTransactionReply {
  readonly succeeded: boolean
  /** That of the change, or the latest when nothing was changed. */
  readonly revision: KvRevision
  readonly results: readonly KvActionResult[]
}

/** Names a write, so that making it again does not do it again (R54): the session, and a number that the client counts up from 1. */
export interface KvAttempt {
  readonly session: number
  /** At most SESSION_WINDOW above the lowest that has no answer yet. */
  readonly sequence: number
}

/** Writes of one session that may be without an answer at the same time. */
export const SESSION_WINDOW = 32

export interface KvCallOptions {
  /** Longest time until the promise settles. */
  readonly deadlineMs?: number
}

export interface KvReadOptions extends KvCallOptions {
  /** 'linearizable' (default): sees all that was done before the call. 'stale': what the asked node has; may be anything it had before. */
  readonly consistency?: 'linearizable' | 'stale'
}

export interface KvWriteOptions extends KvCallOptions {
  readonly attempt?: KvAttempt
}

export interface KvGetReply {
  /** As of which `item` was read. */
  readonly revision: KvRevision
  readonly item: KvItem | undefined
}

export interface KvRangeRequest extends KvSpan {
  /** At most `rangePairsMax`, which is the default. A page ends earlier at `rangeBytesMax`. */
  readonly limit?: number
  /** Values are left empty. */
  readonly keysOnly?: boolean
}

export interface KvRangeReply {
  /** The page is one consistent view, taken at this revision or later: a watch from the next one on misses nothing of it. */
  readonly revision: KvRevision
  /** In the order of keys. */
  readonly items: readonly KvItem[]
  /** There are more after the last item. */
  readonly more: boolean
}

export interface KvWatchRequest extends KvSpan {
  /** The first revision to tell of; one that is not there yet is waited for. Undefined: what comes after the call. */
  readonly fromRevision?: KvRevision
  readonly previousValues?: boolean
}

export interface KvEvent {
  readonly kind: 'put' | 'delete'
  /** After the event. For a delete: the key as it was removed, with an empty value, and the revision of the delete. */
  readonly item: KvItem
  /** As it was before. Undefined when there was none, or it was not asked for. */
  readonly previous: KvItem | undefined
}

/**
 * 'events': all that one revision did to the span, in the order of the transaction. 'progress': everything up to the revision has been told.
 * After either, a watch from `revision + 1` goes on without a gap on any node. 'compacted': what was asked for is no longer kept; the watch is over.
 */
export type KvWatchMessage =
  | { readonly kind: 'events'; readonly revision: KvRevision; readonly events: readonly KvEvent[] }
  | { readonly kind: 'progress'; readonly revision: KvRevision }
  | { readonly kind: 'compacted'; readonly firstRevision: KvRevision }

/** Served by the node that was asked from what it has applied. Begins with 'progress'. Nothing is read ahead of the reader. */
export interface KvWatch extends AsyncIterable<KvWatchMessage> {
  /** Undefined when the watch is over. Rejects with unreachable when its node is gone, or stopping: go on at another. One call at a time. */
  next(): Promise<KvWatchMessage | undefined>
  close(): void
}

export type KvCompareAndSetReply =
  | { readonly kind: 'done'; readonly revision: KvRevision }
  | { readonly kind: 'conflict'; readonly revision: KvRevision; readonly item: KvItem | undefined }

export interface KvClient {
  get(key: Buffer, options?: KvReadOptions): Promise<KvGetReply>
  range(request: KvRangeRequest, options?: KvReadOptions): Promise<KvRangeReply>
  put(key: Buffer, value: Buffer, options?: KvWriteOptions): Promise<{ readonly revision: KvRevision }>
  delete(key: Buffer, options?: KvWriteOptions): Promise<{ readonly revision: KvRevision; readonly deleted: number }>
  /** All of it or, above the limits, nothing: `tooLarge`. */
  deleteSpan(span: KvSpan, options?: KvWriteOptions): Promise<{ readonly revision: KvRevision; readonly deleted: number }>
  /** Sets the value, or deletes with undefined, if the key has this revision (0: does not exist). */
  compareAndSet(key: Buffer, expected: KvRevision, value: Buffer | undefined, options?: KvWriteOptions): Promise<KvCompareAndSetReply>
  transaction(transaction: KvTransaction, options?: KvWriteOptions): Promise<KvTransactionReply>
  watch(request: KvWatchRequest): KvWatch
  /** Resolves with the number of a new session. It ends when it is not used for an hour, or when too many others are. */
  openSession(options?: KvCallOptions): Promise<number>
}
