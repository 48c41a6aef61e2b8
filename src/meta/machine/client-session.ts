// SPDX-License-Identifier: Apache-2.0
// Client sessions: a command done in one is done once, and answered with the same reply however often it comes (R54).
//
// A session has as many places for replies as it may have commands under way; the place of a command is its sequence modulo that. A client
// goes on to a sequence only when the one a whole round before has been answered, so a place that holds a higher one belongs to a
// command whose answer nobody waits for. What a session holds is thus bounded, and forgotten without being read.
import { assert, assertNever } from '#base/assert'
import { SESSION_WINDOW } from '#contract/client/kv-client'
import {
  decodeClientSession,
  decodeCounts,
  decodeKeptReply,
  encodeClientSession,
  encodeCounts,
  encodeKeptReply,
} from '../codec/client-session-codec.ts'
import { activityOf, type GroupKeys } from '../codec/key.ts'
import { decodeReply, encodeReply } from '../codec/reply-codec.ts'
import {
  decodeClientSessionCommand,
  type InClientSessionCommand,
  type InSessionReply,
  type OpenClientSessionCommand,
} from '../command/client-session-command.ts'
import { COMMAND, type RawCommand } from '../command/command.ts'
import type { BoundedRange, Machine, ReadSet, StateView } from './state-machine.ts'

/** A session ends when it was not used for this long, by the clocks of those who propose. */
export const SESSION_IDLE_MS_MAX = 3_600_000
/** Above this many, the one that was not used for longest ends. */
export const SESSIONS_MAX = 4096
/** The last use is noted to this precision, so that it costs no write for each command. */
const USE_GRAIN_MS = 60_000
/** Sessions that one opening looks at. More than one, so that those which have expired cannot pile up. */
const COLLECT_MAX = 8

const EMPTY = Buffer.alloc(0)
const EXPIRED: InSessionReply<never> = Object.freeze({ kind: 'expired' })
const SUPERSEDED: InSessionReply<never> = Object.freeze({ kind: 'superseded' })

interface RoutedInner extends InClientSessionCommand {
  readonly machine: Machine<unknown>
  readonly command: unknown
}

export class ClientSessionMachine implements Machine<OpenClientSessionCommand | RoutedInner> {
  readonly commandTypes = [COMMAND.openClientSession, COMMAND.inClientSession]
  readonly #keys: GroupKeys
  readonly #machineOf: (inner: RawCommand) => Machine<unknown>
  readonly #sessionsMax: number

  /** `machineOf` throws dataVersion for a type that may not be done in a session, and for one that is not known. */
  constructor(keys: GroupKeys, machineOf: (inner: RawCommand) => Machine<unknown>, sessionsMax = SESSIONS_MAX) {
    this.#keys = keys
    this.#machineOf = machineOf
    this.#sessionsMax = sessionsMax
  }

  decode(type: number, body: Buffer): OpenClientSessionCommand | RoutedInner {
    const command = decodeClientSessionCommand(type, body)
    if (command.kind === 'open') return command
    const machine = this.#machineOf(command.inner)
    return { ...command, machine, command: machine.decode(command.inner.type, command.inner.body) }
  }

  declareReads(command: OpenClientSessionCommand | RoutedInner, reads: ReadSet): void {
    reads.key(this.#keys.clientSessions)
    if (command.kind === 'open') {
      reads.range(this.#oldest())
      return
    }
    reads.key(this.#keys.clientSession(command.session))
    reads.key(this.#replyKey(command))
    command.machine.declareReads(command.command, reads)
  }

  apply(command: OpenClientSessionCommand | RoutedInner, view: StateView): unknown {
    switch (command.kind) {
      case 'open':
        return this.#open(command.nowMs, view)
      case 'inSession':
        return this.#once(command, view)
      default:
        return assertNever(command)
    }
  }

  #open(nowMs: number, view: StateView): number {
    const { opened, count } = decodeCounts(view.get(this.#keys.clientSessions))
    let left = count
    for (const { key } of view.range(this.#oldest()).pairs) {
      const { lastUseMs, id } = activityOf(key)
      if (left < this.#sessionsMax && lastUseMs + SESSION_IDLE_MS_MAX > nowMs) break
      this.#end(id, lastUseMs, view)
      left--
    }
    assert(left < this.#sessionsMax, 'each opening makes room for itself')
    const id = opened + 1
    view.put(this.#keys.clientSessions, encodeCounts({ opened: id, count: left + 1 }))
    view.put(this.#keys.clientSession(id), encodeClientSession({ lastUseMs: nowMs }))
    view.put(this.#keys.clientActivity(nowMs, id), EMPTY)
    return id
  }

  #once(command: RoutedInner, view: StateView): InSessionReply<unknown> {
    const { session, sequence, nowMs } = command
    const stored = view.get(this.#keys.clientSession(session))
    if (stored === undefined) return EXPIRED
    const { lastUseMs } = decodeClientSession(stored)
    if (lastUseMs + SESSION_IDLE_MS_MAX <= nowMs) {
      const { opened, count } = decodeCounts(view.get(this.#keys.clientSessions))
      view.put(this.#keys.clientSessions, encodeCounts({ opened, count: count - 1 }))
      this.#end(session, lastUseMs, view)
      return EXPIRED
    }
    this.#use(session, lastUseMs, nowMs, view)
    const place = this.#replyKey(command)
    const bytes = view.get(place)
    const kept = bytes && decodeKeptReply(bytes)
    if (kept !== undefined && kept.sequence > sequence) return SUPERSEDED
    if (kept !== undefined && kept.sequence === sequence) return { kind: 'done', reply: decodeReply(kept.reply) }
    const reply = command.machine.apply(command.command, view)
    view.put(place, encodeKeptReply({ sequence, reply: encodeReply(reply) }))
    return { kind: 'done', reply }
  }

  #use(session: number, lastUseMs: number, nowMs: number, view: StateView): void {
    if (nowMs < lastUseMs + USE_GRAIN_MS) return
    view.delete(this.#keys.clientActivity(lastUseMs, session))
    view.put(this.#keys.clientActivity(nowMs, session), EMPTY)
    view.put(this.#keys.clientSession(session), encodeClientSession({ lastUseMs: nowMs }))
  }

  #end(id: number, lastUseMs: number, view: StateView): void {
    view.delete(this.#keys.clientSession(id))
    view.delete(this.#keys.clientActivity(lastUseMs, id))
    for (let slot = 0; slot < SESSION_WINDOW; slot++) view.delete(this.#keys.clientReply(id, slot))
  }

  #replyKey({ session, sequence }: InClientSessionCommand): Buffer {
    return this.#keys.clientReply(session, sequence % SESSION_WINDOW)
  }

  /** Bounded by what one opening looks at, not by all there are. */
  #oldest(): BoundedRange {
    return { ...this.#keys.clientActivities(), pairsMax: COLLECT_MAX, bytesMax: 1 << 16 }
  }
}
