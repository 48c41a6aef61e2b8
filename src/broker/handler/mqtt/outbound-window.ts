// SPDX-License-Identifier: Apache-2.0
// Messages sent to a client and not finished, in the order of sending, found by packet id (MQTT 5 sections 4.3, 4.4, 4.9).
import { assert } from '#base/assert'
import type { LogId, Position } from '#contract/client/engine-client'
import type { InFlight } from '#contract/record/session'

const PACKET_ID_MAX = 65_535
const FREE = 0
const NO_IDS = new Uint16Array(0)
const NO_STATES = new Uint8Array(0)
const NO_LOGS = new Uint32Array(0)
const NO_POSITIONS = new Float64Array(0)
const NO_GROUPS = new Uint32Array(0)
const nextPacketId = (packetId: number): number => (packetId === PACKET_ID_MAX ? 1 : packetId + 1)

/** A message in flight with its log, and the number of the shared group that handed it out; absent when none did. */
export type WindowEntry = InFlight & { readonly log: LogId; readonly group?: number }

/**
 * A ring of parallel arrays: packet ids are dealt out in turn, so that the place of an id follows from its distance to the oldest one.
 * Entries finished out of turn leave a hole that closes when the head gets there.
 */
export class OutboundWindow {
  readonly #limit: number
  // Nothing is allocated for a client that gets nothing above QoS 0.
  #mask = -1
  #packetIds = NO_IDS
  #states = NO_STATES
  #logs = NO_LOGS
  #positions = NO_POSITIONS
  #groups = NO_GROUPS
  #head = 0
  #tail = 0
  #size = 0
  #exempt = 0
  #lastPacketId = 0
  /** The ids in the ring follow one another, holes included; not so when ids of an earlier connection had gaps. */
  #consecutive = true

  /** `limit`: the client's Receive Maximum, or ours when it names none. */
  constructor(limit: number) {
    assert(limit >= 1 && limit <= PACKET_ID_MAX, 'a window holds from 1 to 65535 messages')
    this.#limit = limit
  }

  get size(): number {
    return this.#size
  }

  get limit(): number {
    return this.#limit
  }

  get full(): boolean {
    return this.counted >= this.#limit
  }

  /** Messages that count against the limit: not the releases that an earlier connection left (MQTT 5 section 4.9). */
  get counted(): number {
    return this.#size - this.#exempt
  }

  /** Takes a message and returns its packet id: one live use of each id at a time (Q6). `group`: number of the shared group it is from; 0 for none. */
  push(log: LogId, position: Position, qos: 1 | 2, group = 0, retained = false): number {
    assert(!this.full, 'a message is sent only when the window has room')
    let packetId = this.#lastPacketId
    do packetId = nextPacketId(packetId)
    while (this.#find(packetId) !== -1)
    this.#put(packetId, qos | (retained ? RETAINED : 0), log, position, group)
    return packetId
  }

  /** Takes back what was in flight when an earlier connection ended, in its order and with its ids. May be more than the limit. */
  restore(entry: InFlight, log: LogId, group = 0): void {
    if (entry.released) this.#exempt++
    const state = entry.released ? RELEASED_BEFORE : entry.qos
    this.#put(entry.packetId, state | (entry.retained ? RETAINED : 0), log, entry.position, group)
  }

  /** Finishes a message: PUBACK, PUBCOMP, or a refusal. Returns the log it came from; -1 when the id is not in use. */
  finish(packetId: number): LogId | -1 {
    const at = this.#find(packetId)
    if (at === -1) return -1
    const slot = at & this.#mask
    this.#packetIds[slot] = FREE
    this.#size--
    if (this.#phase(at) === RELEASED_BEFORE) this.#exempt--
    while (this.#head < this.#tail && this.#packetIds[this.#head & this.#mask] === FREE) this.#head++
    return this.#logs[slot] as number
  }

  /** QoS of a message in flight; 0 when the id is not in use. */
  qos(packetId: number): 0 | 1 | 2 {
    const at = this.#find(packetId)
    if (at === -1) return 0
    return this.#phase(at) === 1 ? 1 : 2
  }

  /** Number of the shared group that a message in flight is from; 0 for none, or when the id is not in use. */
  group(packetId: number): number {
    const at = this.#find(packetId)
    return at === -1 ? 0 : (this.#groups[at & this.#mask] as number)
  }

  /** Position in its log of a message in flight. */
  position(packetId: number): Position {
    return this.#positions[this.#find(packetId) & this.#mask] as number
  }

  /** PUBREC has come: the message itself is never sent again. */
  markReleased(packetId: number): void {
    const at = this.#find(packetId)
    if (at === -1 || this.#phase(at) >= RELEASED) return
    const slot = at & this.#mask
    this.#states[slot] = RELEASED | ((this.#states[slot] as number) & RETAINED)
  }

  /** What is in flight, in order of sending, with its log. */
  entries(): readonly WindowEntry[] {
    const entries: WindowEntry[] = []
    for (let at = this.#head; at < this.#tail; at++) {
      const slot = at & this.#mask
      const packetId = this.#packetIds[slot] as number
      if (packetId === FREE) continue
      const phase = this.#phase(at)
      const log = this.#logs[slot] as number
      const position = this.#positions[slot] as number
      const group = this.#groups[slot] as number
      const retained = ((this.#states[slot] as number) & RETAINED) === 0 ? undefined : RETAINED_ENTRY
      const entry: WindowEntry = {
        log,
        packetId,
        position,
        order: entries.length,
        qos: phase === 1 ? 1 : 2,
        released: phase >= RELEASED,
        ...retained,
      }
      entries.push(group === 0 ? entry : { ...entry, group })
    }
    return entries
  }

  #phase(at: number): number {
    return (this.#states[at & this.#mask] as number) & ~RETAINED
  }

  #put(packetId: number, state: number, log: LogId, position: Position, group: number): void {
    if (this.#tail - this.#head > this.#mask) this.#makeRoom()
    this.#consecutive = this.#head === this.#tail || (this.#consecutive && packetId === nextPacketId(this.#lastPacketId))
    const slot = this.#tail & this.#mask
    this.#packetIds[slot] = packetId
    this.#states[slot] = state
    this.#logs[slot] = log
    this.#positions[slot] = position
    this.#groups[slot] = group
    this.#tail++
    this.#size++
    this.#lastPacketId = packetId
  }

  #find(packetId: number): number {
    const head = this.#head
    if (head === this.#tail) return -1
    const distance = (packetId - (this.#packetIds[head & this.#mask] as number) + PACKET_ID_MAX) % PACKET_ID_MAX
    const guess = head + distance
    if (guess < this.#tail && this.#packetIds[guess & this.#mask] === packetId) return guess
    if (this.#consecutive) return -1
    for (let at = head; at < this.#tail; at++) if (this.#packetIds[at & this.#mask] === packetId) return at
    return -1
  }

  /** Doubles the ring, or closes its holes when those are more than what is in flight: a client that never finishes one message costs no memory. */
  #makeRoom(): void {
    const span = this.#tail - this.#head
    const size = this.#size * 2 <= span ? this.#mask + 1 : (this.#mask + 1) * 2
    const old = {
      packetIds: this.#packetIds,
      states: this.#states,
      logs: this.#logs,
      positions: this.#positions,
      groups: this.#groups,
      mask: this.#mask,
    }
    this.#packetIds = new Uint16Array(Math.max(size, RING_MIN))
    this.#states = new Uint8Array(Math.max(size, RING_MIN))
    this.#logs = new Uint32Array(Math.max(size, RING_MIN))
    this.#positions = new Float64Array(Math.max(size, RING_MIN))
    this.#groups = new Uint32Array(Math.max(size, RING_MIN))
    this.#mask = this.#packetIds.length - 1
    const closing = size <= old.mask + 1
    let to = 0
    for (let at = this.#head; at < this.#tail; at++) {
      const from = at & old.mask
      if (closing && old.packetIds[from] === FREE) continue
      this.#packetIds[to] = old.packetIds[from] as number
      this.#states[to] = old.states[from] as number
      this.#logs[to] = old.logs[from] as number
      this.#positions[to] = old.positions[from] as number
      this.#groups[to++] = old.groups[from] as number
    }
    this.#consecutive &&= !closing
    this.#head = 0
    this.#tail = to
  }
}

const RING_MIN = 16
/** State of a QoS 2 message after PUBREC; before it, and for QoS 1, the state is the QoS. */
const RELEASED = 3
/** The same, of an earlier connection. */
const RELEASED_BEFORE = 4
/** Added to any of them: sent as a retained message. */
const RETAINED = 16
const RETAINED_ENTRY = Object.freeze({ retained: true })
