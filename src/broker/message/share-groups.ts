// SPDX-License-Identifier: Apache-2.0
// The shared groups of this broker: which there are, which of them meta remembers, and what their members leave behind (D11).
import { must } from '#base/assert'
import { isPlatformError } from '#base/error'
import type { Timer } from '#base/port/clock'
import type { Counter } from '#base/port/metrics'
import type { Random } from '#base/port/random'
import type { LogId, Position } from '#contract/client/engine-client'
import type { MetaClient } from '#contract/client/meta-client'
import type { ShareClient, ShareProgress } from '#contract/client/share-client'
import { type BrokerIdentity, type Cursor, EXPIRY_NEVER, type Session, SHARE_TENANT } from '#contract/record/session'
import type { ShardStore } from '#storage'
import type { SharedFilter } from './share-filter.ts'
import { ShareGroup, type ShareServices } from './share-group.ts'
import { createSharePolicy, type SharePolicyName } from './share-policy.ts'
import { heldOf, progressOf, readStoredShares, type StoredShare, unheld } from './share-start.ts'

export interface ShareSettings {
  readonly sharedPolicy: SharePolicyName
  /** Infinity: not before the session ends. */
  readonly sharedRedeliveryAfter: number
  readonly sharedPersistent: boolean
  readonly sharedGroupsMax: number
}

export type ShareMeta = Pick<MetaClient, 'openSession' | 'endSession' | 'sessions' | 'sharedMembers'>

/** What the groups are given, and what counts them. */
interface RegistryServices extends Omit<ShareServices, 'seats'> {
  readonly metrics: ShareServices['metrics'] & { readonly limits: { readonly shared_groups: Pick<Counter, 'add'> } }
}

interface Entry {
  readonly group: ShareGroup
  /** Its consumer is open. */
  opened: Promise<void>
  /** Subscriptions to it that are being made, and those among them of sessions that outlive their connection. */
  claims: number
  persistentClaims: number
  /** Meta is being told of it. */
  keeping: Promise<void> | undefined
  /** When its last member left, if it goes on without. */
  emptySinceMs: number | undefined
}

/** A client that is away, and the groups that it has something of. */
interface AwayMember {
  readonly clientId: string
  readonly groups: ReadonlySet<ShareGroup>
  timer: Timer | undefined
}

export class ShareGroups {
  readonly #store: ShareClient & Pick<ShardStore, 'logs'>
  readonly #meta: ShareMeta
  readonly #services: ShareServices & Pick<RegistryServices, 'metrics'>
  readonly #random: Random
  readonly #settings: () => ShareSettings
  /** A group without members is forgotten after this time: nothing it is owed is left by then. */
  readonly #emptyMsMax: number
  readonly #byName = new Map<string, Entry>()
  readonly #byNumber = new Map<number, Entry>()
  readonly #byUid = new Map<number, ShareGroup>()
  /** By session uid. */
  readonly #away = new Map<number, AwayMember>()
  readonly #awayUids = new Map<string, number>()
  #identity: BrokerIdentity | undefined
  #lastNumber = 0

  constructor(
    store: ShareClient & Pick<ShardStore, 'logs'>,
    meta: ShareMeta,
    services: RegistryServices,
    random: Random,
    settings: () => ShareSettings,
    emptyMsMax: number,
  ) {
    this.#store = store
    this.#meta = meta
    this.#services = { ...services, seats: { count: 0 } }
    this.#random = random
    this.#settings = settings
    this.#emptyMsMax = emptyMsMax
  }

  get size(): number {
    return this.#byName.size
  }

  /** Members whose client is connected. */
  get memberCount(): number {
    return this.#services.seats.count
  }

  /** Takes up the groups that an earlier life of this node left. Before sessions are opened or ended. */
  async start(identity: BrokerIdentity): Promise<void> {
    this.#identity = identity
    const stored = await readStoredShares(this.#meta)
    await Promise.all(stored.map((share) => this.#adopt(share)))
  }

  stop(): void {
    for (const { timer } of this.#away.values()) timer?.cancel()
  }

  // ---- subscriptions

  /**
   * The group, opened, and remembered by meta if it must be: every publish that begins from now on is for it. It stays until `settle`.
   * Undefined when there are too many.
   */
  async claim(shared: SharedFilter, persistent: boolean): Promise<ShareGroup | undefined> {
    const entry = this.#byName.get(shared.name) ?? this.#create(shared)
    if (entry === undefined) return undefined
    entry.claims++
    if (persistent) entry.persistentClaims++
    try {
      await entry.opened
      if (persistent || this.#settings().sharedPersistent) await this.#keep(entry)
      return entry.group
    } catch (error) {
      this.settle(entry.group, persistent)
      throw error
    }
  }

  /** The subscription that the group was claimed for has been made, or given up. */
  settle(group: ShareGroup, persistent: boolean): void {
    const entry = this.#entryOf(group)
    entry.claims--
    if (persistent) entry.persistentClaims--
    this.#review(entry)
  }

  /** A member has given up its subscription, or its session has ended with its connection. */
  leave(group: ShareGroup, uid: number): void {
    group.unseat(uid)
    const entry = this.#byNumber.get(group.number)
    if (entry !== undefined) this.#review(entry)
  }

  /** A message that the group handed out is done with. */
  finish(number: number, log: LogId, position: Position): void {
    this.#byNumber.get(number)?.group.finish(log, position)
  }

  /** Undefined when the group is gone. */
  group(number: number): ShareGroup | undefined {
    return this.#byNumber.get(number)?.group
  }

  /** The group that meta knows by `uid`. */
  groupOf(uid: number): ShareGroup | undefined {
    return this.#byUid.get(uid)
  }

  // ---- members whose client is away

  /** `groups`: those that the session is a member of, or has something of. They have been told of both. */
  left(uid: number, clientId: string, groups: ReadonlySet<ShareGroup>): void {
    if (groups.size === 0) return
    const member: AwayMember = { clientId, groups, timer: undefined }
    this.#away.set(uid, member)
    this.#awayUids.set(clientId, uid)
    const afterMs = this.#settings().sharedRedeliveryAfter
    const holds = [...groups].some((group) => group.held(uid).some(({ qos }) => qos === 1))
    if (!holds || afterMs === Number.POSITIVE_INFINITY) return
    member.timer = this.#services.clock.after(afterMs, () => {
      for (const group of groups) group.release(uid)
    })
  }

  /** The client is back, or its session has ended. Returns the groups that it was a member of, or had something of. */
  returned(uid: number): readonly ShareGroup[] {
    const member = this.#away.get(uid)
    if (member === undefined) return []
    member.timer?.cancel()
    this.#away.delete(uid)
    if (this.#awayUids.get(member.clientId) === uid) this.#awayUids.delete(member.clientId)
    return [...member.groups]
  }

  /**
   * The session of a client may be about to end: from now on, messages of QoS 2 that were sent to it are with it alone, and not given to others
   * after a crash either [MQTT-4.8.2-5]. Resolves when that is committed.
   */
  async ending(clientId: string): Promise<void> {
    const uid = this.#awayUids.get(clientId)
    const member = uid === undefined ? undefined : this.#away.get(uid)
    if (uid === undefined || member === undefined) return
    const groups = [...member.groups].filter((group) => group.held(uid).some(({ qos }) => qos === 2))
    for (const group of groups) group.giveUp(group.held(uid).filter(({ qos }) => qos === 2))
    await Promise.all(groups.map((group) => this.#services.saver.saveNow(group)))
  }

  /** Sessions have ended: what they had goes to others. */
  ended(uids: readonly number[]): void {
    for (const uid of uids) {
      for (const group of this.returned(uid)) {
        group.giveUp(group.takeHeld(uid))
        this.leave(group, uid)
      }
    }
  }

  // ---- the life of a group

  #create(shared: SharedFilter): Entry | undefined {
    const { sharedGroupsMax } = this.#settings()
    if (this.#byName.size >= sharedGroupsMax) this.#sweep()
    if (this.#byName.size >= sharedGroupsMax) {
      this.#services.metrics.limits.shared_groups.add(1)
      return undefined
    }
    const entry = this.#newEntry(shared)
    entry.opened = this.#open(entry.group, [])
    return entry
  }

  #newEntry(shared: SharedFilter): Entry {
    this.#lastNumber++
    const policy = createSharePolicy(this.#settings().sharedPolicy, this.#random)
    const group = new ShareGroup(this.#lastNumber, shared, policy, this.#services)
    const entry: Entry = {
      group,
      opened: Promise.resolve(),
      claims: 0,
      persistentClaims: 0,
      keeping: undefined,
      emptySinceMs: undefined,
    }
    this.#byName.set(shared.name, entry)
    this.#byNumber.set(group.number, entry)
    return entry
  }

  async #open(group: ShareGroup, progress: readonly ShareProgress[]): Promise<void> {
    const consumer = await this.#store.openShare(group.shared.filter, group, progress)
    group.attach(consumer)
  }

  /** Makes sure that meta knows the group, and how far it has got. */
  #keep(entry: Entry): Promise<void> {
    entry.keeping ??= this.#record(entry).finally(() => {
      entry.keeping = undefined
    })
    return entry.keeping
  }

  async #record({ group }: Entry): Promise<void> {
    if (group.record !== undefined) return
    const { session } = await this.#openRecord(group.shared)
    this.#recorded(group, session)
    await this.#services.saver.saveNow(group)
  }

  #openRecord(shared: SharedFilter): Promise<{ readonly session: Session; readonly cursors: readonly Cursor[] }> {
    return this.#meta.openSession({
      tenant: SHARE_TENANT,
      clientId: shared.name,
      owner: must(this.#identity, 'groups are opened when the broker has registered'),
      cleanStart: false,
      expirySeconds: EXPIRY_NEVER,
      will: undefined,
      nowMs: this.#services.clock.realtime(),
    })
  }

  #recorded(group: ShareGroup, session: Session): void {
    group.record = session
    this.#byUid.set(session.uid, group)
  }

  /** Lets go of what the group does not need any more, and of the group itself. */
  #review(entry: Entry): void {
    const { group, claims, persistentClaims } = entry
    const { sharedPersistent } = this.#settings()
    const isEmpty = claims === 0 && group.memberCount === 0
    entry.emptySinceMs = isEmpty ? this.#services.clock.realtime() : undefined
    if (isEmpty && !(sharedPersistent && group.stored)) this.#end(entry)
    else if (!sharedPersistent && persistentClaims + group.persistentCount === 0) this.#forget(group)
  }

  #end({ group }: Entry): void {
    this.#byName.delete(group.shared.name)
    this.#byNumber.delete(group.number)
    this.#forget(group)
    group.close()
  }

  #forget(group: ShareGroup): void {
    const { record } = group
    if (record === undefined) return
    group.record = undefined
    this.#byUid.delete(record.uid)
    this.#endRecord(record)
  }

  /** Nobody waits for it: a record without members is removed at the next start. */
  #endRecord({ tenant, clientId, uid, epoch }: Session): void {
    this.#meta.endSession({ tenant, clientId }, uid, epoch).catch((error: unknown) => {
      if (!isPlatformError(error)) throw error
      this.#services.logger.log('debug', 'the record of a shared group stays until the next start', {
        share: clientId,
        reason: error.message,
      })
    })
  }

  /** Ends groups that have been without members for so long that nothing they are owed is left. */
  #sweep(): void {
    const nowMs = this.#services.clock.realtime()
    for (const entry of [...this.#byName.values()]) {
      if (entry.emptySinceMs !== undefined && nowMs - entry.emptySinceMs >= this.#emptyMsMax) this.#end(entry)
    }
  }

  #entryOf(group: ShareGroup): Entry {
    return must(this.#byNumber.get(group.number), 'a group stays while somebody claims it')
  }

  // ---- the start

  async #adopt({ shared, record, members }: StoredShare): Promise<void> {
    if (members.length === 0 && !(this.#settings().sharedPersistent && record !== undefined)) {
      if (record !== undefined) this.#endRecord(record)
      return
    }
    const { session, cursors } = await this.#openRecord(shared)
    const entry = this.#newEntry(shared)
    const { group } = entry
    for (const member of members) {
      group.seatAway(member.uid, member.qos)
      group.hold(member.uid, heldOf(member, session.uid))
    }
    const held = members.flatMap(({ uid }) => group.held(uid))
    const progress = progressOf(cursors, shared.filter, this.#store.logs())
    await this.#open(group, progress)
    this.#recorded(group, session)
    // A record that was lost is made anew.
    if (record === undefined) await this.#services.saver.saveNow(group)
    group.giveUp(unheld(progress, held))
    for (const { uid, clientId } of members) this.#adoptMember(uid, clientId, group)
    this.#review(entry)
  }

  #adoptMember(uid: number, clientId: string, group: ShareGroup): void {
    this.left(uid, clientId, new Set([...this.returned(uid), group]))
  }
}
