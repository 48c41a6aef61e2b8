// SPDX-License-Identifier: Apache-2.0
// Sessions: who owns them, what they subscribe to, which wills wait. One key a session, one for each of its subscriptions.
//
// Every opening takes the next number of one counter as its epoch. An epoch is thus never used twice, not even for a client whose session had
// ended and left nothing behind, and a late write of any earlier owner is always fenced (Q9). A session's uid is made from the number of
// the opening that began it.
import { assertNever } from '#base/assert'
import { EXPIRY_NEVER } from '#contract/record/session'
import { decodeCount, encodeCount } from '../codec/count-codec.ts'
import type { GroupKeys } from '../codec/key.ts'
import { decodeSession, encodeSession, type StoredSession } from '../codec/session-codec.ts'
import { COMMAND } from '../command/command.ts'
import {
  type CloseCommand,
  type CloseReply,
  decodeSessionCommand,
  type EndCommand,
  type OpenCommand,
  type OpenReply,
  type SessionCommand,
  type SubscribeCommand,
  type TakeWillCommand,
  UID_NONE,
  type UnsubscribeCommand,
  type WriteReply,
} from '../command/session-command.ts'
import type { Machine, ReadSet, StateView } from './state-machine.ts'

const DONE = Object.freeze({ kind: 'done' })
const DONE_NONE_ENDED = Object.freeze({ kind: 'done', endedUid: UID_NONE })
const FENCED = Object.freeze({ kind: 'fenced' })

export class SessionMachine implements Machine<SessionCommand> {
  readonly commandTypes = [
    COMMAND.openSession,
    COMMAND.closeSession,
    COMMAND.takeWill,
    COMMAND.endSession,
    COMMAND.subscribe,
    COMMAND.unsubscribe,
  ]
  readonly #keys: GroupKeys
  readonly #ordinal: number
  readonly #groupCount: number

  /** `ordinal` of `groupCount` groups that give out uids: each has residues of its own, so that uids are unique over all. */
  constructor(keys: GroupKeys, ordinal: number, groupCount: number) {
    this.#keys = keys
    this.#ordinal = ordinal
    this.#groupCount = groupCount
  }

  decode(type: number, body: Buffer): SessionCommand {
    return decodeSessionCommand(type, body)
  }

  declareReads(command: SessionCommand, reads: ReadSet): void {
    const recordKey = this.#keys.session(command.key)
    reads.key(recordKey)
    if (command.kind === 'open') reads.key(this.#keys.sessionCounter)
    if (command.kind === 'open' || command.kind === 'close' || command.kind === 'end') {
      reads.items(this.#keys.subscriptions(command.key), { key: recordKey, itemsOf: subscriptionItems })
    }
  }

  apply(command: SessionCommand, view: StateView): unknown {
    const recordKey = this.#keys.session(command.key)
    const bytes = view.get(recordKey)
    const stored = bytes === undefined ? undefined : decodeSession(bytes)
    switch (command.kind) {
      case 'open':
        return this.#open(command, recordKey, stored, view)
      case 'close':
        return this.#close(command, recordKey, stored, view)
      case 'takeWill':
        return this.#takeWill(command, recordKey, stored, view)
      case 'end':
        return this.#end(command, recordKey, stored, view)
      case 'subscribe':
        return this.#subscribe(command, recordKey, stored, view)
      case 'unsubscribe':
        return this.#unsubscribe(command, stored, view)
      default:
        return assertNever(command)
    }
  }

  #open(command: OpenCommand, recordKey: Buffer, previous: StoredSession | undefined, view: StateView): OpenReply {
    const opening = decodeCount(view.get(this.#keys.sessionCounter)) + 1
    view.put(this.#keys.sessionCounter, encodeCount(opening))
    const subscriptions = this.#keys.subscriptions(command.key)
    const present = !command.cleanStart && previous !== undefined && goesOn(previous, command.nowMs)
    if (!present) view.deleteItems(subscriptions)
    const session: StoredSession = {
      uid: present ? previous.uid : (opening - 1) * this.#groupCount + this.#ordinal + 1,
      epoch: opening,
      owner: command.owner,
      expirySeconds: command.expirySeconds,
      disconnectedAtMs: 0,
      subscribed: present && previous.subscribed,
      will: command.will,
    }
    view.put(recordKey, encodeSession(session))
    return { session, present, previous, subscriptions: present ? view.items(subscriptions) : [] }
  }

  #close(command: CloseCommand, recordKey: Buffer, stored: StoredSession | undefined, view: StateView): CloseReply {
    if (stored === undefined || isFenced(stored, command.epoch)) return FENCED
    const closed: StoredSession = {
      ...stored,
      owner: undefined,
      expirySeconds: command.expirySeconds,
      disconnectedAtMs: command.nowMs,
      will: command.keepWill ? stored.will : undefined,
    }
    if (command.expirySeconds !== 0) {
      view.put(recordKey, encodeSession(closed))
      return DONE_NONE_ENDED
    }
    view.deleteItems(this.#keys.subscriptions(command.key))
    if (closed.will === undefined) view.delete(recordKey)
    else view.put(recordKey, encodeSession({ ...closed, subscribed: false }))
    return { kind: 'done', endedUid: stored.uid }
  }

  #takeWill(command: TakeWillCommand, recordKey: Buffer, stored: StoredSession | undefined, view: StateView): Buffer | undefined {
    if (stored === undefined || stored.uid !== command.uid || stored.epoch !== command.epoch || stored.will === undefined) return undefined
    if (hasEnded(stored)) view.delete(recordKey)
    else view.put(recordKey, encodeSession({ ...stored, will: undefined }))
    return stored.will
  }

  #end(command: EndCommand, recordKey: Buffer, stored: StoredSession | undefined, view: StateView): CloseReply {
    if (stored === undefined) return DONE_NONE_ENDED
    if (stored.uid !== command.uid || stored.epoch !== command.epoch) return FENCED
    view.delete(recordKey)
    view.deleteItems(this.#keys.subscriptions(command.key))
    return { kind: 'done', endedUid: stored.uid }
  }

  #subscribe(command: SubscribeCommand, recordKey: Buffer, stored: StoredSession | undefined, view: StateView): WriteReply {
    if (stored === undefined || isFenced(stored, command.epoch)) return FENCED
    if (!stored.subscribed) view.put(recordKey, encodeSession({ ...stored, subscribed: true }))
    const collection = this.#keys.subscriptions(command.key)
    for (const { filter, value } of command.subscriptions) view.putItem(collection, filter, value)
    return DONE
  }

  #unsubscribe(command: UnsubscribeCommand, stored: StoredSession | undefined, view: StateView): WriteReply {
    if (stored === undefined || isFenced(stored, command.epoch)) return FENCED
    const collection = this.#keys.subscriptions(command.key)
    for (const filter of command.filters) view.deleteItem(collection, filter)
    return DONE
  }
}

const NONE: readonly Buffer[] = Object.freeze([])

/** A new client, and one whose subscriptions live with its broker, has none here: nothing is to be scanned. */
const subscriptionItems = (record: Buffer | undefined): readonly Buffer[] | 'scan' =>
  record !== undefined && decodeSession(record).subscribed ? 'scan' : NONE

/** It exists only for its will. */
const hasEnded = (session: StoredSession): boolean => session.owner === undefined && session.expirySeconds === 0

const isFenced = (session: StoredSession, epoch: number): boolean => session.epoch !== epoch || hasEnded(session)

/** Whether a new connection finds the session: it does not end with its connection, and its time since then is not over. */
function goesOn(session: StoredSession, nowMs: number): boolean {
  if (session.expirySeconds === 0) return false
  if (session.owner !== undefined || session.expirySeconds === EXPIRY_NEVER) return true
  return session.disconnectedAtMs + session.expirySeconds * 1000 > nowMs
}
