// SPDX-License-Identifier: Apache-2.0
// The one consumer of a shared group (D11): hands each record that matches to the broker once, keeps what is with somebody, and hands out again what
// comes back. At the tail it is fed from memory; when nobody has room it keeps a position, and reads from the log once there is.
import type { LogId, Position, ReadRequest, ReadResult } from '#contract/client/engine-client'
import type { ShareConsumer, ShareProgress, ShareSink } from '#contract/client/share-client'
import { type RecordBatch, RecordCursor } from '#contract/record/record-batch'
import { ShareCursor } from './share-cursor.ts'

/** What a consumer needs of a log. */
export interface ShareLog {
  readonly log: LogId
  /** Position after the last committed record. */
  readonly end: Position
  readonly catchUp: {
    read(request: Omit<ReadRequest, 'log'>): Promise<ReadResult>
    fetch(positions: readonly Position[]): Promise<readonly RecordBatch[]>
  }
}

/** The dispatcher of committed batches. */
export interface ShareFeed {
  /** Everything before it has been offered to consumers that are live: within a batch, the record that is being offered. */
  offeredUpTo(log: LogId): Position | undefined
  remove(consumer: SharedConsumer): void
}

interface Follower {
  readonly source: ShareLog
  readonly cursor: ShareCursor
  reading: boolean
  /** `resume` was called while reading. */
  called: boolean
  /** The log was removed. */
  gone: boolean
}

/** Records that came back and are fetched together. */
const RETURNED_MAX = 64

export class SharedConsumer implements ShareConsumer {
  readonly filter: string
  readonly #filters: readonly string[]
  readonly #sink: ShareSink
  readonly #feed: ShareFeed
  /** By log. */
  readonly #followers = new Map<LogId, Follower>()
  readonly #record = new RecordCursor()
  /** A log may not be live. */
  #behind = true
  #closed = false

  constructor(filter: string, sink: ShareSink, feed: ShareFeed, logs: readonly ShareLog[], progress: readonly ShareProgress[]) {
    this.filter = filter
    this.#filters = [filter]
    this.#sink = sink
    this.#feed = feed
    for (const source of logs) {
      const saved = progress.find(({ log }) => log === source.log)
      if (saved === undefined) this.include(source)
      else this.#follow(source, new ShareCursor(saved.next, saved.open, false))
    }
  }

  /** Follows a log from its end on: all of it, if it is new. */
  include(source: ShareLog): void {
    this.#follow(source, new ShareCursor(source.end, [], true))
  }

  /** The log was removed. What the group has not had of it is gone; what is with somebody may be finished, to no effect. */
  exclude(log: LogId): void {
    const follower = this.#followers.get(log)
    if (follower === undefined) return
    const { source, cursor } = follower
    const next = this.#nextOf(follower)
    follower.gone = true
    this.#followers.delete(log)
    for (const position of cursor.returned(Number.POSITIVE_INFINITY)) this.#sink.missed(log, position, position + 1)
    if (next < source.end) this.#sink.missed(log, next, source.end)
  }

  #follow(source: ShareLog, cursor: ShareCursor): void {
    this.#followers.set(source.log, { source, cursor, reading: false, called: false, gone: false })
  }

  /** A committed record that matches. */
  live(log: LogId, batch: RecordBatch, record: RecordCursor): void {
    const cursor = this.#followers.get(log)?.cursor
    if (cursor === undefined || this.#closed) return
    if (record.qos === 0) this.#sink.offer(log, batch, record)
    else if (cursor.live) this.#handOut(log, cursor, batch, record)
  }

  finish(log: LogId, position: Position): void {
    this.#followers.get(log)?.cursor.finish(position)
  }

  handBack(log: LogId, positions: readonly Position[]): void {
    const follower = this.#followers.get(log)
    if (follower === undefined || this.#closed) return
    const { cursor } = follower
    const next = this.#nextOf(follower)
    cursor.handBack(positions)
    if (!cursor.hasReturned) return
    cursor.next = next
    cursor.live = false
    this.#behind = true
    this.#wake(follower)
  }

  resume(): void {
    if (this.#closed || !this.#behind) return
    this.#behind = false
    for (const follower of this.#followers.values()) {
      if (follower.cursor.live) continue
      this.#behind = true
      this.#wake(follower)
    }
  }

  progress(logs: Iterable<LogId> = this.#followers.keys()): readonly ShareProgress[] {
    const progress: ShareProgress[] = []
    for (const log of logs) {
      const follower = this.#followers.get(log)
      if (follower !== undefined) progress.push({ log, next: this.#nextOf(follower), open: follower.cursor.open() })
    }
    return progress
  }

  close(): void {
    this.#closed = true
    this.#feed.remove(this)
  }

  #isOver({ gone }: Follower): boolean {
    return this.#closed || gone
  }

  #nextOf({ source, cursor }: Follower): Position {
    return cursor.live ? Math.max(cursor.next, this.#feed.offeredUpTo(source.log) ?? source.end) : cursor.next
  }

  /** False when nobody had room. */
  #handOut(log: LogId, cursor: ShareCursor, batch: RecordBatch, record: RecordCursor): boolean {
    const { position } = record
    cursor.begin(position)
    if (this.#sink.offer(log, batch, record)) return true
    cursor.refused(position)
    this.#behind = true
    return false
  }

  #wake(follower: Follower): void {
    follower.called = true
    if (!follower.reading) void this.#catchUp(follower)
  }

  async #catchUp(follower: Follower): Promise<void> {
    const { cursor } = follower
    follower.reading = true
    try {
      while (!this.#isOver(follower) && !cursor.live && follower.called) {
        follower.called = false
        while (!this.#isOver(follower) && !cursor.live) {
          const goesOn = cursor.hasReturned ? await this.#handOutAgain(follower) : await this.#readOn(follower)
          if (!goesOn) break
        }
      }
    } catch (error) {
      if (!follower.gone) this.#sink.failed(error)
    } finally {
      follower.reading = false
    }
  }

  /** False when nobody had room. */
  async #handOutAgain(follower: Follower): Promise<boolean> {
    const { source, cursor } = follower
    const positions = cursor.returned(RETURNED_MAX)
    const batches = await source.catchUp.fetch(positions)
    if (this.#isOver(follower)) return false
    const taken = new Set<Position>()
    const record = this.#record
    let hasRoom = true
    for (const batch of batches) {
      record.reset(batch)
      while (hasRoom && record.next()) {
        if (cursor.isOpen(record.position)) hasRoom = this.#sink.offer(source.log, batch, record)
        if (hasRoom) taken.add(record.position)
      }
    }
    if (hasRoom) {
      for (const position of positions) {
        if (taken.has(position)) continue
        taken.add(position)
        cursor.finish(position)
        this.#sink.missed(source.log, position, position + 1)
      }
    }
    cursor.took(taken)
    return hasRoom
  }

  /** False when nobody had room. */
  async #readOn(follower: Follower): Promise<boolean> {
    const { source, cursor } = follower
    const { next: from } = cursor
    const { log } = source
    const result = await source.catchUp.read({
      from,
      filters: this.#filters,
      bytesMax: this.#sink.appetiteBytes(),
      reader: this.#sink.reader,
    })
    if (this.#isOver(follower)) return false
    if (result.from > from) this.#sink.missed(log, from, result.from)
    const record = this.#record
    for (const batch of result.batches) {
      record.reset(batch)
      while (record.next()) {
        // What came back meanwhile goes first.
        if (cursor.hasReturned) return true
        if (record.position < cursor.next || record.qos === 0) continue
        if (!this.#handOut(log, cursor, batch, record)) return false
      }
    }
    if (cursor.hasReturned) return true
    cursor.next = result.next
    // Everything committed up to here was offered, and what comes next will be.
    if (cursor.next >= source.end) cursor.goLive(source.end)
    return true
  }
}
