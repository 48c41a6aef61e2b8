// SPDX-License-Identifier: Apache-2.0
// Delayed publish: messages that are acknowledged now and published later. They lie in meta until then; here is when each is due, and nothing else.
//
// A message of QoS 1 or 2 is published once, as a will is: it is appended under a sequence that its log remembers, then taken out of meta, then
// the sequence is released. After a crash in between it is found again, and its second append is not stored. One of QoS 0 is taken first: it may be
// lost in a crash, and never comes twice.
import { must } from '#base/assert'
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { Heap } from '#base/heap'
import type { Clock, Timer } from '#base/port/clock'
import type { Logger } from '#base/port/logger'
import type { Ports } from '#base/port/ports'
import type { Probe } from '#base/port/probe'
import type { DelayedClient, DelayedEntry, DelayedKey, DelayedMessage } from '#contract/client/delayed-client'
import type { AppendOutcome, LogId } from '#contract/client/engine-client'
import type { ShardRouter, ShardStore } from '#storage'
import { DelayedReceipts, type SessionPages } from './delayed-receipts.ts'
import type { Publisher, PublishOwner } from './publish.ts'

export interface DelayedLimits {
  /** Longest delay, in ms. */
  readonly delayedMax: number
  /** Most messages that wait. */
  readonly delayedMessagesMax: number
}

/** A message as a client hands it over; the buffers are not used again by the caller. */
export interface DelayedPublish extends DelayedMessage {
  readonly delaySeconds: number
  /** Of QoS 2, else undefined: the same id stores nothing more until it is released. */
  readonly packetId: number | undefined
}

/** Whether who gave a message may publish it now (Q22). */
export type DelayedPermission = (message: DelayedMessage) => boolean

/** Stands where the log of a message is named, for one that is in no log yet. */
export const DELAYED_LOG: LogId = -1

/** Above all packet ids, and above the sequences of wills, which count openings of sessions. */
const SEQUENCE_FIRST = 0x8000_0000
/** Published in one go. */
const BATCH_MESSAGES = 256
const BATCH_BYTES = 1 << 20
/** Timers are set at most this far ahead: the clock may be stepped meanwhile. */
const TIMER_MS_MAX = 60_000
const RETRY_MS = 1_000
const PAGE = 1_000
/** A message is one command of meta; a larger one is refused. */
const MESSAGE_BYTES_MAX = 8 * 1024 * 1024

const APPENDED: AppendOutcome = Object.freeze({ kind: 'appended', basePosition: 0 })
const UNKNOWN: AppendOutcome = Object.freeze({ kind: 'unknown' })
const rejected = (reason: 'busy' | 'stopping' | 'too-large'): AppendOutcome => ({ kind: 'rejected', reason })

/** A message that waits. */
interface Waiting {
  readonly key: DelayedKey
  readonly publisher: number
  readonly sizeBytes: number
  /** When it is tried: when it is due, or later after a failure. */
  atMs: number
  cancelled: boolean
}

export class DelayedMessages {
  readonly #meta: DelayedClient
  readonly #publisher: Publisher
  readonly #router: ShardRouter
  readonly #store: Pick<ShardStore, 'release'>
  readonly #clock: Clock
  readonly #probe: Probe
  readonly #logger: Logger
  readonly #receipts: DelayedReceipts
  readonly #mayPublish: DelayedPermission
  readonly #waiting = new Map<number, Waiting>()
  readonly #due = new Heap<Waiting>((a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.key.id < b.key.id))
  #limits: DelayedLimits
  /** Handed over, and not yet in meta. */
  #arriving = 0
  #pendingBytes = 0
  #timer: Timer | undefined
  #stopped = false
  #publishing: Promise<void> | undefined

  constructor(
    meta: DelayedClient,
    publisher: Publisher,
    router: ShardRouter,
    store: Pick<ShardStore, 'release'>,
    { clock, probe }: Pick<Ports, 'clock' | 'probe'>,
    logger: Logger,
    limits: DelayedLimits,
    mayPublish: DelayedPermission,
  ) {
    this.#meta = meta
    this.#publisher = publisher
    this.#router = router
    this.#store = store
    this.#clock = clock
    this.#probe = probe
    this.#logger = logger
    this.#limits = limits
    this.#mayPublish = mayPublish
    this.#receipts = new DelayedReceipts(meta)
  }

  /** Messages that wait. */
  get count(): number {
    return this.#waiting.size + this.#arriving
  }

  /** Bytes handed over and not settled: the measure for back-pressure on publishers. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  /** Holds for messages from now on. */
  setLimits(limits: DelayedLimits): void {
    this.#limits = limits
  }

  /** Takes up what waits, and publishes what has become due meanwhile. Before any session is ended: what was begun is finished first. */
  async start(sessions: SessionPages): Promise<void> {
    let after: DelayedKey | undefined
    for (;;) {
      const page = await this.#meta.entries(after, PAGE)
      for (const { dueMs, id, publisher, sizeBytes } of page) this.#add({ dueMs, id }, publisher, sizeBytes)
      if (page.length < PAGE) break
      after = page[page.length - 1]
    }
    await this.#receipts.load(sessions)
    this.#fire()
    await this.#publishing
  }

  /** What waits stays in meta. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#timer?.cancel()
    this.#receipts.stop()
    await this.#publishing
  }

  /** Stores a message; `owner` is told under `tag` when it is committed, or not to be. Not before this returns. */
  accept(message: DelayedPublish, owner: PublishOwner | undefined, tag: number): void {
    void this.#accept(message).then((outcome) => owner?.published(tag, outcome))
  }

  /** The packet id of a stored message may stand for another one. */
  release(publisher: number, packetId: number): Promise<void> {
    return this.#receipts.release({ publisher, packetId })
  }

  /** Packet ids of a publisher that are stored and not released. */
  unreleased(publisher: number): readonly number[] {
    return this.#receipts.of(publisher)
  }

  /** The sessions of these publishers have ended. Resolves when nothing of theirs is half published, so that its sequences may be forgotten too. */
  forget(publishers: readonly number[]): Promise<void> {
    return this.#receipts.forget(publishers)
  }

  /** What waits, in the order of its time, in pages. */
  list(after: DelayedKey | undefined, count: number): Promise<readonly DelayedEntry[]> {
    return this.#meta.entries(after, count)
  }

  /** False when it did not wait any more: it is published, or about to be. */
  async cancel(key: DelayedKey): Promise<boolean> {
    const entry = this.#waiting.get(key.id)
    if (entry === undefined) return false
    // From here on it is not begun, whatever time it takes to remove it.
    entry.cancelled = true
    this.#waiting.delete(key.id)
    try {
      const [waited] = await this.#meta.take([key])
      return waited === true
    } catch (error) {
      this.#add(entry.key, entry.publisher, entry.sizeBytes)
      this.#arm()
      throw error
    }
  }

  async #accept(message: DelayedPublish): Promise<AppendOutcome> {
    const { delaySeconds, packetId, publisher, headers, payload } = message
    const { delayedMax, delayedMessagesMax } = this.#limits
    const sizeBytes = headers.length + payload.length
    if (this.#stopped) return rejected('stopping')
    if (sizeBytes > MESSAGE_BYTES_MAX) return rejected('too-large')
    if (delaySeconds * 1000 > delayedMax || this.count >= delayedMessagesMax) return rejected('busy')
    this.#arriving++
    this.#pendingBytes += sizeBytes
    try {
      const key = await this.#meta.put(message, this.#clock.realtime() + delaySeconds * 1000, packetId)
      if (packetId !== undefined) this.#receipts.add({ publisher, packetId })
      this.#add(key, publisher, sizeBytes)
      this.#arm()
      return APPENDED
    } catch (error) {
      if (isPlatformError(error, ERROR_CODES.outcomeUnknown)) return UNKNOWN
      if (isPlatformError(error)) return rejected(isPlatformError(error, ERROR_CODES.stopping) ? 'stopping' : 'busy')
      throw error
    } finally {
      this.#arriving--
      this.#pendingBytes -= sizeBytes
    }
  }

  #add(key: DelayedKey, publisher: number, sizeBytes: number): void {
    if (this.#waiting.has(key.id)) return
    const entry: Waiting = { key, publisher, sizeBytes, atMs: key.dueMs, cancelled: false }
    this.#waiting.set(key.id, entry)
    this.#due.push(entry)
  }

  #arm(): void {
    this.#timer?.cancel()
    const first = this.#due.peek()
    if (first === undefined || this.#stopped || this.#publishing !== undefined) return
    const waitMs = Math.min(Math.max(first.atMs - this.#clock.realtime(), 0), TIMER_MS_MAX)
    this.#timer = this.#clock.after(waitMs, this.#fire)
  }

  readonly #fire = (): void => {
    this.#publishing ??= this.#publishDue().then(() => {
      this.#publishing = undefined
      this.#arm()
    })
  }

  async #publishDue(): Promise<void> {
    while (!this.#stopped) {
      const batch = this.#nextBatch()
      if (batch.length === 0) break
      try {
        await this.#publish(batch)
      } catch (error) {
        if (!isPlatformError(error)) throw error
        this.#logger.log('warn', 'delayed messages are due and could not be published, trying again', {
          messages: batch.length,
          error: error.message,
        })
        for (const entry of batch) this.#putBack(entry)
      }
    }
  }

  /** What is due, up to a bound. */
  #nextBatch(): readonly Waiting[] {
    const nowMs = this.#clock.realtime()
    const batch: Waiting[] = []
    let bytes = 0
    for (let first = this.#due.peek(); first !== undefined && first.atMs <= nowMs; first = this.#due.peek()) {
      if (batch.length === BATCH_MESSAGES || bytes >= BATCH_BYTES) break
      this.#due.pop()
      if (first.cancelled) continue
      this.#waiting.delete(first.key.id)
      bytes += first.sizeBytes
      batch.push(first)
    }
    return batch
  }

  #putBack(entry: Waiting): void {
    entry.atMs = this.#clock.realtime() + RETRY_MS
    this.#waiting.set(entry.key.id, entry)
    this.#due.push(entry)
  }

  async #publish(batch: readonly Waiting[]): Promise<void> {
    const found = await this.#meta.messages(batch.map(({ key }) => key))
    const messages = batch.flatMap(({ key }, at) => {
      const message = found[at]
      return message === undefined ? [] : [{ key, message }]
    })
    const allowed = messages.filter(({ message }) => this.#mayPublish(message))
    if (allowed.length < messages.length) await this.#drop(messages.filter((message) => !allowed.includes(message)))
    const fleeting = allowed.filter(({ message }) => message.qos === 0)
    const lasting = allowed.filter(({ message }) => message.qos > 0)
    if (fleeting.length > 0) {
      const taken = await this.#meta.take(fleeting.map(({ key }) => key))
      for (const [at, { message }] of fleeting.entries()) if (taken[at] === true) this.#append(message, -1, undefined, 0)
    }
    if (lasting.length === 0) return
    for (const { key, message } of lasting) this.#receipts.begin(message.publisher, key.id)
    const logs = await this.#appendAll(lasting)
    if (this.#probe.fault('broker.delayed.removal')) throw new PlatformError(ERROR_CODES.proposalDropped, 'a fault at the removal')
    await this.#meta.take(lasting.map(({ key }) => key))
    for (const { key, message } of lasting) this.#receipts.finish(message.publisher, key.id)
    await Promise.all(
      lasting.map(({ key, message }, at) => this.#store.release(message.publisher, sequenceOf(key), must(logs[at], 'each has a log'))),
    )
  }

  /** What was given by somebody who may not publish it any more. */
  async #drop(refused: readonly { readonly key: DelayedKey; readonly message: DelayedMessage }[]): Promise<void> {
    await this.#meta.take(refused.map(({ key }) => key))
    // An attempt before this one may have begun.
    for (const { key, message } of refused) this.#receipts.finish(message.publisher, key.id)
  }

  /** Resolves with the log of each when all are committed. */
  #appendAll(lasting: readonly { readonly key: DelayedKey; readonly message: DelayedMessage }[]): Promise<readonly LogId[]> {
    return new Promise((resolve, reject) => {
      const logs: LogId[] = []
      let left = lasting.length
      const published = (tag: number, outcome: AppendOutcome): void => {
        const message = must(lasting[tag], 'the tag is a place in the list').message
        if (outcome.kind === 'appended') left--
        else if (outcome.kind === 'rejected' && outcome.reason === 'too-large') {
          this.#logger.log('error', 'a delayed message is larger than its log takes, and is dropped', { topic: message.topic })
          left--
        } else {
          const code = outcome.kind === 'unknown' ? ERROR_CODES.outcomeUnknown : ERROR_CODES.proposalDropped
          reject(new PlatformError(code, `the delayed message on '${message.topic}' was not stored: ${outcome.kind}`))
        }
        if (left === 0) resolve(logs)
      }
      for (const [at, { key, message }] of lasting.entries()) logs[at] = this.#append(message, sequenceOf(key), { published }, at)
    })
  }

  #append(message: DelayedMessage, sequence: number, owner: PublishOwner | undefined, tag: number): LogId {
    const { topic, qos, retain, publisher, messageExpirySeconds, headers, payload } = message
    // Its life begins now.
    const expiryMs = messageExpirySeconds === undefined ? 0 : this.#clock.realtime() + messageExpirySeconds * 1000
    return this.#publisher.publishMessage(
      this.#router.shard(topic),
      { topic, qos, retain, publisher, expiryMs, sequence, headers, payload },
      owner,
      tag,
    )
  }
}

const sequenceOf = ({ id }: DelayedKey): number => SEQUENCE_FIRST + (id % SEQUENCE_FIRST)
