// SPDX-License-Identifier: Apache-2.0
// The sessions whose client is connected here, by client id, and the order of those who want to open the same one.

/** What the registry needs of a session. */
export interface RegisteredSession {
  /** Ends the connection in favour of a new one of the same client; resolves when the session is closed in meta. */
  takenOver(): Promise<void>
}

/** Connections that may wait for the same client id, besides the one that opens it: more is a reconnect storm. */
const WAITING_MAX = 15

/** A connection that waits for its turn. */
interface Waiter {
  readonly claimant: object
  /** False: it does not wait any more. */
  readonly proceed: (isTurn: boolean) => void
}

interface Slot {
  session: RegisteredSession | undefined
  /** A connection is in the middle of opening it. */
  isOpening: boolean
  readonly waiting: Waiter[]
}

export class SessionRegistry {
  readonly #slots = new Map<string, Slot>()
  #connected = 0

  get connected(): number {
    return this.#connected
  }

  /**
   * Runs `open` when no other connection of the client is in the middle of opening or closing, and after the one that had the session is out of it.
   * 'busy' when too many wait: another takeover is in progress (Q10). 'left' when `claimant`, the connection, left while it waited.
   */
  async enter(clientId: string, claimant: object, open: () => Promise<RegisteredSession | undefined>): Promise<'done' | 'busy' | 'left'> {
    const slot = this.#slots.get(clientId) ?? this.#newSlot(clientId)
    if (slot.isOpening) {
      if (slot.waiting.length >= WAITING_MAX) return 'busy'
      const isTurn = await new Promise<boolean>((proceed) => slot.waiting.push({ claimant, proceed }))
      if (!isTurn) return 'left'
    }
    slot.isOpening = true
    try {
      await slot.session?.takenOver()
      this.#set(slot, await open())
      return 'done'
    } finally {
      const next = slot.waiting.shift()
      // The place is handed on: nobody gets in between.
      if (next !== undefined) next.proceed(true)
      else {
        slot.isOpening = false
        this.#release(clientId, slot)
      }
    }
  }

  /** The connection is gone: it does not wait any more, and holds no place that another could have. */
  leave(clientId: string, claimant: object): void {
    const waiting = this.#slots.get(clientId)?.waiting ?? []
    const at = waiting.findIndex((waiter) => waiter.claimant === claimant)
    if (at >= 0) waiting.splice(at, 1)[0]?.proceed(false)
  }

  /** The session is closed: its place is free, unless it was taken over already. */
  remove(clientId: string, session: RegisteredSession): void {
    const slot = this.#slots.get(clientId)
    if (slot?.session !== session) return
    this.#set(slot, undefined)
    this.#release(clientId, slot)
  }

  #newSlot(clientId: string): Slot {
    const slot: Slot = { session: undefined, isOpening: false, waiting: [] }
    this.#slots.set(clientId, slot)
    return slot
  }

  #set(slot: Slot, session: RegisteredSession | undefined): void {
    this.#connected += (session === undefined ? 0 : 1) - (slot.session === undefined ? 0 : 1)
    slot.session = session
  }

  #release(clientId: string, slot: Slot): void {
    if (!slot.isOpening && slot.session === undefined) this.#slots.delete(clientId)
  }
}
