// SPDX-License-Identifier: Apache-2.0
// Sends again what an earlier connection left in flight: with its packet ids, in its order, before anything new [MQTT-4.4.0-1] [MQTT-4.6.0-1].
import type { LogId, Position } from '#contract/client/engine-client'
import { type RecordBatch, RecordCursor } from '#contract/record/record-batch'
import type { InFlight } from '#contract/record/session'
import type { ShardStore } from '#storage'

/** A message that was in flight when the earlier connection ended. */
export type Unsent = InFlight & { readonly log: LogId }

/** What a resender needs of its session. */
export interface ResendOutlet {
  /** Messages that may be sent, when `unsent` of those in flight are not sent again yet. Releases need no room. */
  room(unsent: number): number
  resendRelease(packetId: number): void
  /** False when the client cannot take it. */
  resendRecord(entry: Unsent, batch: RecordBatch, cursor: RecordCursor): boolean
  /** It cannot be sent again: it is gone by retention, or too large for this client. */
  abandon(entry: Unsent): void
  resent(): void
  failed(error: unknown): void
}

/** Messages fetched from the logs at a time. */
const GROUP_MAX = 64

export class Resender {
  readonly #store: Pick<ShardStore, 'fetch'>
  readonly #outlet: ResendOutlet
  #unsent: readonly Unsent[] = []
  #running = false
  #closed = false

  constructor(store: Pick<ShardStore, 'fetch'>, outlet: ResendOutlet) {
    this.#store = store
    this.#outlet = outlet
  }

  /** Something is still to be sent again: nothing new may be sent. */
  get pending(): boolean {
    return this.#unsent.length > 0
  }

  load(entries: readonly Unsent[]): void {
    this.#unsent = entries
  }

  close(): void {
    this.#closed = true
  }

  /** Sends as much as there is room for. */
  async run(): Promise<void> {
    if (this.#running || this.#closed) return
    this.#running = true
    try {
      while (this.pending && !this.#closed) {
        const group = this.#nextGroup()
        if (group.length === 0) return
        const fetched = await this.#fetch(group)
        if (this.#closed) return
        this.#unsent = this.#unsent.slice(group.length)
        for (const entry of group) this.#resend(entry, fetched.get(entry.log) ?? [])
      }
    } catch (error) {
      this.#outlet.failed(error)
    } finally {
      this.#running = false
    }
    this.#outlet.resent()
  }

  #nextGroup(): readonly Unsent[] {
    let room = this.#outlet.room(this.#unsent.filter(({ released }) => !released).length)
    const group: Unsent[] = []
    for (const entry of this.#unsent) {
      if (group.length === GROUP_MAX || (!entry.released && room-- <= 0)) break
      group.push(entry)
    }
    return group
  }

  /** The records of messages that are not released yet, by log. */
  async #fetch(group: readonly Unsent[]): Promise<ReadonlyMap<LogId, readonly RecordBatch[]>> {
    const positions = new Map<LogId, Position[]>()
    for (const { log, position, released } of group) {
      if (released) continue
      const ofLog = positions.get(log)
      if (ofLog === undefined) positions.set(log, [position])
      else ofLog.push(position)
    }
    const fetched = [...positions].map(async ([log, wanted]): Promise<[LogId, readonly RecordBatch[]]> => {
      return [
        log,
        await this.#store.fetch(
          log,
          wanted.sort((a, b) => a - b),
        ),
      ]
    })
    return new Map(await Promise.all(fetched))
  }

  #resend(entry: Unsent, batches: readonly RecordBatch[]): void {
    if (entry.released) {
      this.#outlet.resendRelease(entry.packetId)
      return
    }
    const cursor = new RecordCursor()
    for (const batch of batches) {
      cursor.reset(batch)
      while (cursor.next()) {
        if (cursor.position === entry.position && this.#outlet.resendRecord(entry, batch, cursor)) return
      }
    }
    this.#outlet.abandon(entry)
  }
}
