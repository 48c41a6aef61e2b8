// SPDX-License-Identifier: Apache-2.0
// The sessions whose client is connected here, by client id, and the order of those who want to open the same one.

/** What the registry needs of a session. */
export interface RegisteredSession {
  /** Ends the connection in favour of a new one of the same client; resolves when the session is closed in meta. */
  takenOver(): Promise<void>
}

/** Connections that may wait for the same client id: more is a reconnect storm. */
const WAITING_MAX = 16

interface Slot {
  session: RegisteredSession | undefined
  /** Resolves when the last of those who wait is through. */
  last: Promise<void>
  waiting: number
}

export class SessionRegistry {
  readonly #slots = new Map<string, Slot>()
  #connected = 0

  get connected(): number {
    return this.#connected
  }

  /**
   * Runs `open` when no other connection of the client is in the middle of opening or closing, and after the one that had the session is out of it.
   * Undefined when too many wait: another takeover is in progress (Q10).
   */
  async enter(clientId: string, open: () => Promise<RegisteredSession | undefined>): Promise<'done' | 'busy'> {
    const slot = this.#slots.get(clientId) ?? this.#newSlot(clientId)
    if (slot.waiting >= WAITING_MAX) return 'busy'
    slot.waiting++
    const before = slot.last
    let leave = (): void => undefined
    slot.last = new Promise((resolve) => {
      leave = resolve
    })
    try {
      await before
      await slot.session?.takenOver()
      this.#set(slot, await open())
      return 'done'
    } finally {
      slot.waiting--
      leave()
      this.#release(clientId, slot)
    }
  }

  /** The session is closed: its place is free, unless it was taken over already. */
  remove(clientId: string, session: RegisteredSession): void {
    const slot = this.#slots.get(clientId)
    if (slot?.session !== session) return
    this.#set(slot, undefined)
    this.#release(clientId, slot)
  }

  #newSlot(clientId: string): Slot {
    const slot: Slot = { session: undefined, last: Promise.resolve(), waiting: 0 }
    this.#slots.set(clientId, slot)
    return slot
  }

  #set(slot: Slot, session: RegisteredSession | undefined): void {
    this.#connected += (session === undefined ? 0 : 1) - (slot.session === undefined ? 0 : 1)
    slot.session = session
  }

  #release(clientId: string, slot: Slot): void {
    if (slot.waiting === 0 && slot.session === undefined) this.#slots.delete(clientId)
  }
}
