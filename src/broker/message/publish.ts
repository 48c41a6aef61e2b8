// SPDX-License-Identifier: Apache-2.0
// The way in: messages of one loop turn become one batch for each log, and one append. While an append is under way the next batch
// grows, so that batches are as large as the disk is slow (D7).
import type { Clock } from '#base/port/clock'
import type { AppendOutcome, LogId } from '#contract/client/engine-client'
import { ATTRIBUTE, RecordBatchBuilder } from '#contract/record/record-batch'
import type { Shard, ShardStore } from '#storage'
import type { RetainedQuota } from './retained-quota.ts'
import { RetainedWrites } from './retained-writes.ts'

/** Who waits for messages to be stored. One object for all messages of a connection. */
export interface PublishOwner {
  /** The message that was published under `tag` has this outcome. In the order of publishing for each log, not across logs. */
  published(tag: number, outcome: AppendOutcome): void
}

export interface OutgoingMessage {
  readonly topic: string
  readonly qos: number
  readonly retain: boolean
  readonly publisher: number
  /** Absolute, ms since 1970; 0 for none. */
  readonly expiryMs: number
  /** -1 for none. */
  readonly sequence: number
  readonly headers: Buffer
  readonly payload: Buffer
}

/** A batch is closed when it has this many bytes, however many appends are under way. */
const BATCH_BYTES_MAX = 64 * 1024
/** Appends of one log under way before its next batch waits to grow. */
const APPENDS_MAX = 2

class Lane {
  readonly log: LogId
  readonly builder = new RecordBatchBuilder()
  /** Parallel to each other, for the records that somebody waits for. */
  owners: PublishOwner[] = []
  tags: number[] = []
  /** For each record that went here although its shard passes through another log. */
  diverted: Shard[] = []
  /** Records that are to be retained, and the bytes of their payloads. */
  retained = 0
  retainedBytes = 0
  /** Number of the open batch among the retained writes; 0 when it has no retained message. */
  retainedWrite = 0
  appends = 0
  queued = false

  constructor(log: LogId) {
    this.log = log
  }
}

export class Publisher {
  readonly retainedWrites = new RetainedWrites()
  readonly #store: Pick<ShardStore, 'append'>
  readonly #clock: Clock
  readonly #quota: RetainedQuota | undefined
  /** Called when a log turns out to be gone: shards must be placed again. */
  readonly #logRemoved: () => void
  /** By log; made when a message is published to it. */
  readonly #lanes: (Lane | undefined)[] = []
  #open: Lane[] = []
  #scheduled = false
  #pendingBytes = 0
  /** Shards with messages under way in the log of retained messages: what follows must not overtake them in the other log. With their count. */
  readonly #diverted = new Map<Shard, number>()

  constructor(store: Pick<ShardStore, 'append'>, clock: Clock, logRemoved: () => void, quota?: RetainedQuota) {
    this.#store = store
    this.#clock = clock
    this.#logRemoved = logRemoved
    this.#quota = quota
  }

  /** Bytes handed in and not yet settled: the measure for back-pressure on publishers. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  /**
   * Takes a message whose payload is `source[start, end)`; everything is copied. `owner` is told under `tag`, unless undefined.
   * `attributes` are those of a record; which of the optional fields are read follows from them. The settings of the topic may shorten the message's life.
   */
  publish(
    shard: Shard,
    attributes: number,
    publisher: number,
    expiryMs: number,
    sequence: number,
    headers: Buffer,
    source: Buffer,
    start: number,
    end: number,
    owner: PublishOwner | undefined,
    tag: number,
  ): LogId {
    const usual = shard.logFor(attributes & ATTRIBUTE.qosMask)
    const isRetained = (attributes & ATTRIBUTE.retain) !== 0 || (this.#diverted.size > 0 && this.#diverted.has(shard))
    const log = isRetained ? shard.retained : usual
    const lane = this.#lanes[log] ?? this.#newLane(log)
    if (log !== usual) this.#divert(shard, lane, usual)
    let topic = lane.builder.topic(shard.topic)
    if (topic < 0) {
      this.#append(lane)
      topic = lane.builder.topic(shard.topic)
    }
    const expires = shard.messageExpiryMs !== Number.POSITIVE_INFINITY
    const stamped = expires ? attributes | ATTRIBUTE.expiry : attributes
    const endsMs = expires ? this.#endOfLife(shard, attributes, expiryMs) : expiryMs
    lane.builder.append(topic, stamped, publisher, endsMs, sequence, headers, source, start, end)
    if ((attributes & ATTRIBUTE.retain) !== 0) {
      if (lane.retainedWrite === 0) lane.retainedWrite = this.retainedWrites.begin()
      lane.retained++
      lane.retainedBytes += end - start
      this.#quota?.began(end - start)
    }
    if (owner !== undefined) {
      lane.owners.push(owner)
      lane.tags.push(tag)
    }
    if (lane.builder.size >= BATCH_BYTES_MAX) this.#append(lane)
    else if (!lane.queued) this.#queue(lane)
    return log
  }

  /** The same for messages that are not on the hot path. One that may not be retained is published without. */
  publishMessage(shard: Shard, message: OutgoingMessage, owner: PublishOwner | undefined, tag: number): LogId {
    const attributes =
      message.qos |
      (message.retain && (this.#quota?.admits(shard, message.payload.length) ?? true) ? ATTRIBUTE.retain : 0) |
      (message.expiryMs === 0 ? 0 : ATTRIBUTE.expiry) |
      (message.sequence < 0 ? 0 : ATTRIBUTE.sequence) |
      (message.headers.length === 0 ? 0 : ATTRIBUTE.headers)
    const { publisher, expiryMs, sequence, headers, payload } = message
    return this.publish(shard, attributes, publisher, expiryMs, sequence, headers, payload, 0, payload.length, owner, tag)
  }

  #endOfLife(shard: Shard, attributes: number, expiryMs: number): number {
    const boundMs = this.#clock.realtime() + shard.messageExpiryMs
    return (attributes & ATTRIBUTE.expiry) === 0 ? boundMs : Math.min(expiryMs, boundMs)
  }

  #newLane(log: LogId): Lane {
    const lane = new Lane(log)
    this.#lanes[log] = lane
    return lane
  }

  #queue(lane: Lane): void {
    lane.queued = true
    this.#open.push(lane)
    if (this.#scheduled) return
    this.#scheduled = true
    this.#clock.endOfTurn(this.#endOfTurn)
  }

  readonly #endOfTurn = (): void => {
    this.#scheduled = false
    const open = this.#open
    this.#open = []
    for (const lane of open) {
      lane.queued = false
      if (lane.appends < APPENDS_MAX && lane.builder.recordCount > 0) this.#append(lane)
    }
  }

  #append(lane: Lane): void {
    const { owners, tags, diverted, retained, retainedBytes, retainedWrite } = lane
    const batch = lane.builder.build()
    const bytes = batch.bytes.length
    lane.owners = []
    lane.tags = []
    lane.diverted = []
    lane.retained = 0
    lane.retainedBytes = 0
    lane.retainedWrite = 0
    lane.appends++
    this.#pendingBytes += bytes
    this.#store.append(lane.log, batch, (outcome) => {
      lane.appends--
      this.#pendingBytes -= bytes
      const isRemoved = outcome.kind === 'rejected' && outcome.reason === 'removed'
      if (isRemoved) this.#logRemoved()
      for (const shard of diverted) this.#settleDiverted(shard)
      if (retained > 0) {
        this.#quota?.settled(retained, retainedBytes)
        this.retainedWrites.settle(retainedWrite)
      }
      for (let at = 0; at < owners.length; at++) (owners[at] as PublishOwner).published(tags[at] as number, outcome)
      // What gathered meanwhile goes out at once; a lane that is queued goes at the end of its turn anyway.
      if (!lane.queued && lane.builder.recordCount > 0) this.#append(lane)
      else if (isRemoved && lane.appends === 0 && !lane.queued) this.#lanes[lane.log] = undefined
    })
  }

  /** Nor may it overtake what came before: that leaves now. A log in memory is done with it before a durable one has synced anything. */
  #divert(shard: Shard, lane: Lane, usual: LogId): void {
    const count = this.#diverted.get(shard) ?? 0
    const before = this.#lanes[usual]
    if (count === 0 && before !== undefined && before.builder.recordCount > 0) this.#append(before)
    lane.diverted.push(shard)
    this.#diverted.set(shard, count + 1)
  }

  #settleDiverted(shard: Shard): void {
    const left = (this.#diverted.get(shard) ?? 0) - 1
    if (left > 0) this.#diverted.set(shard, left)
    else this.#diverted.delete(shard)
  }
}
