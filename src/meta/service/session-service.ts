// SPDX-License-Identifier: Apache-2.0
// Sessions and their cursors, which lie in different groups: sessions by client, cursors by the uid of the session.
import { must } from '#base/assert'
import { crc32c } from '#base/crc32c'
import { isPlatformError } from '#base/error'
import type { KvPair } from '#base/port/kv'
import type { Logger } from '#base/port/logger'
import type { CloseSessionRequest, OpenedSession, OpenSessionRequest, SessionWrite, SharedMember } from '#contract/client/meta-client'
import type { Cursor, Session, SessionKey, Subscription, Will } from '#contract/record/session'
import { decodeCursor } from '../codec/cursor-codec.ts'
import { checkName, compareSuffix, keyAfter, placementBytes, sessionKeyOf, uidOfHolder } from '../codec/key.ts'
import { decodeSession, decodeSubscription, decodeWill, sessionOf, uidOfSession } from '../codec/session-codec.ts'
import { type CursorSave, claimCursors, forgetCursors, saveCursors } from '../command/cursor-command.ts'
import * as command from '../command/session-command.ts'
import { scanRange } from '../scan.ts'
import type { GroupClient } from './group-client.ts'
import { readSharedMembers } from './shared-members.ts'

/** Sessions in one command that saves or forgets cursors: bounds the size of a command. */
const COMMAND_SESSIONS_MAX = 256
const DONE: SessionWrite = Object.freeze({ kind: 'done' })
const FENCED: SessionWrite = Object.freeze({ kind: 'fenced' })

export class SessionService {
  readonly #data: readonly GroupClient[]
  readonly #offset: readonly GroupClient[]
  readonly #logger: Logger
  /** Offset groups whose leftovers were collected under this leadership: a crash of this process is what would leave more. */
  readonly #collected = new Set<GroupClient>()

  constructor(data: readonly GroupClient[], offset: readonly GroupClient[], logger: Logger) {
    this.#data = data
    this.#offset = offset
    this.#logger = logger
  }

  async open(request: OpenSessionRequest): Promise<OpenedSession> {
    const reply = await this.#groupOf(request).submit(command.openSession(request))
    const { present, previous } = reply
    const session = sessionOf(request, reply.session)
    if (previous !== undefined && !present) this.#forget(previous.uid)
    return {
      session,
      present,
      previous: previous && sessionOf(request, previous),
      subscriptions: reply.subscriptions.map(decodeSubscription),
      cursors: present ? await this.#claim(session.uid, session.epoch) : [],
    }
  }

  async close(request: CloseSessionRequest): Promise<SessionWrite> {
    return this.#ended(await this.#groupOf(request).submit(command.closeSession(request)))
  }

  async end(key: SessionKey, uid: number, epoch: number): Promise<SessionWrite> {
    return this.#ended(await this.#groupOf(key).submit(command.endSession(key, uid, epoch)))
  }

  async takeWill(key: SessionKey, uid: number, epoch: number): Promise<Will | undefined> {
    const will = await this.#groupOf(key).submit(command.takeWill(key, uid, epoch))
    return will && decodeWill(will)
  }

  async subscribe(key: SessionKey, epoch: number, subscriptions: readonly Subscription[]): Promise<SessionWrite> {
    for (const { filter } of subscriptions) checkName(filter, 'topic filter')
    return this.#groupOf(key).submit(command.subscribe(key, epoch, subscriptions))
  }

  async unsubscribe(key: SessionKey, epoch: number, filters: readonly string[]): Promise<SessionWrite> {
    for (const filter of filters) checkName(filter, 'topic filter')
    return this.#groupOf(key).submit(command.unsubscribe(key, epoch, filters))
  }

  async saveCursors(saves: readonly CursorSave[]): Promise<void> {
    const commands = this.#byOffsetGroup(saves, ({ uid }) => uid)
    await Promise.all(commands.map(([group, part]) => group.submit(saveCursors(part))))
  }

  /** Pages in the order of (tenant, client id), by the order of their UTF-8. */
  async list(after: SessionKey | undefined, count: number): Promise<readonly Session[]> {
    const pages = await Promise.all(this.#data.map((group) => this.#page(group, after, count)))
    const merged = pages.length === 1 ? must(pages[0], 'there is a data group') : pages.flat().sort((a, b) => compareSuffix(a.key, b.key))
    return merged.slice(0, count).map(({ key, value }) => sessionOf(sessionKeyOf(key), decodeSession(value)))
  }

  sharedMembers(after: SessionKey | undefined, count: number): Promise<readonly SharedMember[]> {
    return readSharedMembers(this.#data, (uid) => this.#offsetGroupOf(uid), after, count)
  }

  /**
   * Removes cursors whose session has ended, which a crash between the two writes leaves behind. Harmless while sessions come and go: a cursor seen
   * first belongs to a session that began before, and is found by the scan that follows unless it has ended. Done once by each leader of an offset
   * group, for its own. Resolves with how many there were.
   */
  async collectCursors(): Promise<number> {
    const uids = new Set<number>()
    for (const group of this.#collected) if (!group.leads) this.#collected.delete(group)
    const owed = this.#offset.filter((group) => group.leads && !this.#collected.has(group))
    for (const group of owed) {
      await group.barrier()
      await scanRange(group.kv, group.keys.cursorHolders(), ({ key }) => {
        uids.add(uidOfHolder(key))
        return true
      })
    }
    for (const group of uids.size === 0 ? [] : this.#data) {
      await group.barrier()
      await scanRange(group.kv, group.keys.sessions(), ({ value }) => {
        uids.delete(uidOfSession(value))
        return uids.size > 0
      })
    }
    for (const [group, part] of this.#byOffsetGroup([...uids], (uid) => uid)) await group.submit(forgetCursors(part))
    for (const group of owed) this.#collected.add(group)
    return uids.size
  }

  /** The uids of sessions that have not ended, in the order of the keys; undefined for one that has, or never was. */
  async livingUids(keys: readonly SessionKey[]): Promise<readonly (number | undefined)[]> {
    const groups = keys.map((key) => this.#groupOf(key))
    await Promise.all([...new Set(groups)].map((group) => group.barrier()))
    const values = await Promise.all(
      groups.map((group, at) => group.kv.get(group.keys.session(must(keys[at], 'there is a key for each group')))),
    )
    return values.map((bytes) => {
      const stored = bytes && decodeSession(bytes)
      // What is kept for its will only has ended.
      return stored === undefined || (stored.owner === undefined && stored.expirySeconds === 0) ? undefined : stored.uid
    })
  }

  async #page(group: GroupClient, after: SessionKey | undefined, count: number): Promise<readonly KvPair[]> {
    await group.barrier()
    const { gte, lt } = group.keys.sessions()
    const pairs: KvPair[] = []
    await scanRange(group.kv, { gte: after === undefined ? gte : keyAfter(group.keys.session(after)), lt }, (pair) => {
      pairs.push(pair)
      return pairs.length < count
    })
    return pairs
  }

  async #claim(uid: number, epoch: number): Promise<readonly Cursor[]> {
    return (await this.#offsetGroupOf(uid).submit(claimCursors(uid, epoch))).map(decodeCursor)
  }

  #ended(reply: command.CloseReply): SessionWrite {
    if (reply.kind === 'fenced') return FENCED
    if (reply.endedUid !== command.UID_NONE) this.#forget(reply.endedUid)
    return DONE
  }

  /** Nobody waits for it: what is left behind is found at the next start. */
  #forget(uid: number): void {
    this.#offsetGroupOf(uid)
      .submit(forgetCursors([uid]))
      .catch((error: unknown) => {
        if (!isPlatformError(error)) throw error
        this.#logger.log('debug', 'cursors of an ended session stay until the next start', { uid, reason: error.message })
      })
  }

  #groupOf(key: SessionKey): GroupClient {
    checkName(key.tenant, 'tenant')
    checkName(key.clientId, 'client id')
    return must(this.#data[crc32c(placementBytes(key.tenant, key.clientId)) % this.#data.length], 'there is a data group')
  }

  #offsetGroupOf(uid: number): GroupClient {
    return must(this.#offset[uid % this.#offset.length], 'there is an offset group')
  }

  #byOffsetGroup<T>(items: readonly T[], uidOf: (item: T) => number): (readonly [GroupClient, readonly T[]])[] {
    const open = new Map<GroupClient, T[]>()
    const parts: [GroupClient, T[]][] = []
    for (const item of items) {
      const group = this.#offsetGroupOf(uidOf(item))
      let part = open.get(group)
      if (part === undefined || part.length === COMMAND_SESSIONS_MAX) {
        part = []
        open.set(group, part)
        parts.push([group, part])
      }
      part.push(item)
    }
    return parts
  }
}
