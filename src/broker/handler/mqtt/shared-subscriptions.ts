// SPDX-License-Identifier: Apache-2.0
// The shared subscriptions of one session (MQTT 5 section 4.8.2): its seats in groups, and what becomes of the groups' messages when it goes.
import type { LogId } from '#contract/client/engine-client'
import type { RecordBatch, RecordCursor } from '#contract/record/record-batch'
import type { InFlight, Subscription } from '#contract/record/session'
import { parseShared, type SharedFilter } from '../../message/share-filter.ts'
import type { HeldRecord, ShareGroup, ShareMember } from '../../message/share-group.ts'
import { type Claim, mergeClaims, type Subscriber, type Target } from '../../message/subscription-table.ts'
import type { BrokerContext } from './context.ts'
import type { OutboundWindow } from './outbound-window.ts'

/** A subscription that is being made: the group is there, the session has no seat in it yet. */
export interface SharedGrant {
  readonly group: ShareGroup
  /** As it was when the group was claimed. */
  readonly persistent: boolean
}

/** A seat of an earlier connection. */
export interface SharedSeat {
  readonly grant: SharedGrant
  readonly subscription: Subscription
}

/** What the seats need of their session. */
export interface SharingSession extends Subscriber {
  readonly context: BrokerContext
  readonly clientId: string
  readonly persistent: boolean
  readonly closed: boolean
  readonly outbound: OutboundWindow
  readonly cursors: { mark(log: LogId): void }
  appetiteBytes(): number
  /** Sends a record that `group` hands out; false for want of room. */
  offer(target: Target, log: LogId, batch: RecordBatch, cursor: RecordCursor, group: number): boolean
}

interface Seat {
  readonly group: ShareGroup
  readonly subscription: Subscription
  readonly target: Target
}

const NO_GROUPS: readonly ShareGroup[] = Object.freeze([])

export class SharedSubscriptions implements ShareMember {
  readonly #session: SharingSession
  // Nothing is allocated for a session that shares nothing.
  #seats: Map<string, Seat> | undefined
  /** Every group that the session has had a seat in or messages of, on this connection. */
  #groups: Set<ShareGroup> | undefined
  /** The client has its CONNACK, and what was to be sent again. */
  #started = false
  /** Grants that have not come to a seat, nor been given up. */
  readonly #grants = new Set<SharedGrant>()

  constructor(session: SharingSession) {
    this.#session = session
  }

  get size(): number {
    return this.#seats?.size ?? 0
  }

  has(name: string): boolean {
    return this.#seats?.has(name) ?? false
  }

  subscription(name: string): Subscription | undefined {
    return this.#seats?.get(name)?.subscription
  }

  subscriptions(): readonly Subscription[] {
    return [...(this.#seats?.values() ?? [])].map(({ subscription }) => subscription)
  }

  /** Whether meta remembers any of the groups. */
  get anyRecorded(): boolean {
    if (this.#groups !== undefined) for (const { stored } of this.#groups) if (stored) return true
    return false
  }

  /** Groups that meta remembers. They must know of all that the session has finished before the session itself is saved. */
  get recorded(): readonly ShareGroup[] {
    return this.#groups === undefined ? NO_GROUPS : [...this.#groups].filter(({ stored }) => stored)
  }

  // ---- subscribing

  /** Undefined when there are too many groups. */
  async claim(shared: SharedFilter): Promise<SharedGrant | undefined> {
    const { context, persistent } = this.#session
    const group = await context.shares.claim(shared, persistent)
    if (group === undefined) return undefined
    const grant = { group, persistent }
    this.#grants.add(grant)
    // Nobody will come back to it.
    if (this.#session.closed) this.abandon(grant)
    return grant
  }

  /** Takes the seat, or changes what is granted to it. */
  activate(grant: SharedGrant, subscription: Subscription): void {
    this.#take(grant.group, subscription)
    this.abandon(grant)
  }

  /** The grant is not needed, or not any more. */
  abandon(grant: SharedGrant): void {
    if (this.#grants.delete(grant)) this.#session.context.shares.settle(grant.group, grant.persistent)
  }

  /**
   * Before a subscription is given up: nothing more is sent for it. What was sent is completed with this client [MQTT-3.10.4-3], and at QoS 2 with it
   * alone. Resolves when the group will know that after a crash, too.
   */
  async leaving(name: string): Promise<void> {
    const seat = this.#seats?.get(name)
    if (seat === undefined) return
    const { group, subscription } = seat
    group.seatAway(this.uid, subscription.qos)
    group.giveUp(this.#inFlight(group).filter(({ qos }) => qos === 2))
    await this.#session.context.saver.saveNow(group)
  }

  /** False when there is no such subscription. */
  remove(name: string): boolean {
    const seat = this.#seats?.get(name)
    if (seat === undefined) return false
    this.#seats?.delete(name)
    this.#session.context.shares.leave(seat.group, this.uid)
    return true
  }

  #take(group: ShareGroup, subscription: Subscription): void {
    const target = mergeClaims(this.#session, [subscription])
    this.#seats ??= new Map()
    this.#seats.set(subscription.filter, { group, subscription, target })
    this.#join(group)
    group.seat(this, target)
  }

  #join(group: ShareGroup): void {
    this.#groups ??= new Set()
    this.#groups.add(group)
  }

  // ---- messages

  get uid(): number {
    return this.#session.uid
  }

  get persistent(): boolean {
    return this.#session.persistent
  }

  get appetiteBytes(): number {
    return this.#session.appetiteBytes()
  }

  offer(target: Target, log: LogId, batch: RecordBatch, cursor: RecordCursor, group: number): boolean {
    return this.#started && !this.#session.closed && this.#session.offer(target, log, batch, cursor, group)
  }

  /** There is room again. */
  resume(): void {
    this.#started = true
    if (this.#seats !== undefined) for (const { group } of this.#seats.values()) group.resume()
  }

  /** By what subscription a message of a group was sent; undefined when it was given up since. */
  claimOf(share: number): Claim | undefined {
    if (this.#seats !== undefined) for (const { group, target } of this.#seats.values()) if (group.record?.uid === share) return target
    return undefined
  }

  /** The stored form of a message in flight that a group handed out. */
  stored(entry: InFlight, number: number): InFlight {
    const share = this.#session.context.shares.group(number)?.record?.uid
    return share === undefined ? entry : { ...entry, share }
  }

  // ---- from one connection to the next

  /** Claims the groups of stored subscriptions. */
  async reclaim(subscriptions: readonly Subscription[]): Promise<readonly SharedSeat[]> {
    const seats: SharedSeat[] = []
    for (const subscription of subscriptions) {
      const shared = parseShared(subscription.filter)
      const grant = shared && (await this.claim(shared))
      if (grant === undefined) throw new Error(`the shared group of '${subscription.filter}' cannot be opened`)
      seats.push({ grant, subscription })
    }
    return seats
  }

  /** Number of the group that a message in flight is from, 0 when that is gone. Undefined when the message was given to another member. */
  restore(entry: InFlight & { readonly log: LogId }): number | undefined {
    const group = entry.share === undefined ? undefined : this.#session.context.shares.groupOf(entry.share)
    if (group === undefined) return 0
    const isHeld = entry.qos === 2 || group.held(this.uid).some(({ log, position }) => log === entry.log && position === entry.position)
    if (!isHeld) return undefined
    this.#join(group)
    return group.number
  }

  /** Takes the seats of an earlier connection. After `restore`: what the session had is its own again, or somebody else's. */
  takeUp(seats: readonly SharedSeat[]): void {
    const { shares } = this.#session.context
    for (const { grant, subscription } of seats) this.activate(grant, subscription)
    for (const group of shares.returned(this.uid)) {
      group.takeHeld(this.uid)
      // A seat that the session was not given again.
      if (!seats.some(({ grant }) => grant.group === group)) shares.leave(group, this.uid)
    }
  }

  /**
   * The connection is gone. What was sent at QoS 1 goes to others when the session ends with it, or when there is to be no waiting; else it stays with
   * the session for a while.
   */
  close(): void {
    for (const grant of this.#grants) this.abandon(grant)
    if (this.#groups === undefined) return
    const { context, clientId, persistent, outbound } = this.#session
    const { shares } = context
    const left = new Set<ShareGroup>()
    for (const group of this.#groups) {
      const records = this.#inFlight(group)
      if (!persistent) group.giveUp(records)
      else if (context.config.sharedRedeliveryAfter > 0) group.hold(this.uid, records)
      else {
        for (const { packetId, log, group: number, qos } of outbound.entries()) {
          if (number !== group.number || qos !== 1) continue
          outbound.finish(packetId)
          this.#session.cursors.mark(log)
        }
        group.giveUp(records.filter(({ qos }) => qos === 1))
        group.hold(
          this.uid,
          records.filter(({ qos }) => qos === 2),
        )
      }
      if (group.held(this.uid).length > 0) left.add(group)
    }
    for (const { group, subscription } of this.#seats?.values() ?? []) {
      if (!persistent) shares.leave(group, this.uid)
      else {
        group.seatAway(this.uid, subscription.qos)
        left.add(group)
      }
    }
    shares.left(this.uid, clientId, left)
  }

  #inFlight(group: ShareGroup): readonly HeldRecord[] {
    return this.#session.outbound.entries().filter((entry) => entry.group === group.number)
  }
}
