// SPDX-License-Identifier: Apache-2.0
// What brokers have asked of sessions and what they were told, in the order of the calls. A call is unknown until it is answered: its broker may die before that.
import type { OpenedSession, OpenSessionRequest } from '#contract/client/meta-client'
import type { BrokerIdentity, Cursor, ExpirySeconds, Session, Will } from '#contract/record/session'

/** 'refused': it was not done and will not be. 'unknown': it may be done at any time, or never. */
export type CallOutcome = 'done' | 'fenced' | 'refused' | 'unknown'

export type SessionAction =
  /** Subscription identifiers by filter; 0 for a filter that is given up. */
  | { readonly kind: 'subscriptions'; readonly set: ReadonlyMap<string, number> }
  | { readonly kind: 'close'; readonly nowMs: number; readonly expirySeconds: ExpirySeconds; readonly keepWill: boolean }
  | { readonly kind: 'takeWill' }
  | { readonly kind: 'end' }

interface Call {
  readonly called: number
  returned: number
}

/** Made in the name of one epoch of a session. */
export interface SessionCall extends Call {
  readonly clientId: string
  readonly epoch: number
  readonly action: SessionAction
  outcome: CallOutcome
  /** What `takeWill` gave. */
  will: Will | undefined
}

/** `told` is absent when the outcome is unknown: a session may be open although the call was rejected. */
export interface Opening extends Call {
  readonly tag: number
  readonly request: OpenSessionRequest
  told: OpenedSession | undefined
}

export interface ToldOpening extends Opening {
  readonly told: OpenedSession
}

export interface CursorSaving extends Call {
  readonly uid: number
  readonly epoch: number
  readonly cursor: Cursor
  outcome: CallOutcome
}

/** All sessions, as one broker was shown them. */
export interface Listing extends Call {
  readonly sessions: readonly Session[]
}

/** Openings of one run. */
const TAGS = 2 ** 20

/** The owner of a session names the opening as well: one whose outcome nobody was told is known by it when the session is seen later. */
export const taggedOwner = ({ node, bootEpoch }: BrokerIdentity, tag: number): BrokerIdentity => ({
  node,
  bootEpoch: bootEpoch * TAGS + tag,
})
export const tagOf = ({ bootEpoch }: BrokerIdentity): number => bootEpoch % TAGS
export const bootEpochOf = ({ bootEpoch }: BrokerIdentity): number => Math.floor(bootEpoch / TAGS)

export class SessionLedger {
  readonly openings: Opening[] = []
  readonly calls: SessionCall[] = []
  readonly savings: CursorSaving[] = []
  readonly listings: Listing[] = []
  readonly #told = new Map<string, number>()
  #lastTag = 0
  #lastValue = 0

  nextTag(): number {
    return ++this.#lastTag
  }

  /** Unlike any other of the run. */
  nextValue(): number {
    return ++this.#lastValue
  }

  opening(tag: number, request: OpenSessionRequest, called: number): Opening {
    const opening: Opening = { tag, request, called, returned: Number.POSITIVE_INFINITY, told: undefined }
    this.openings.push(opening)
    return opening
  }

  call(clientId: string, epoch: number, action: SessionAction, called: number): SessionCall {
    const call: SessionCall = {
      clientId,
      epoch,
      action,
      called,
      returned: Number.POSITIVE_INFINITY,
      outcome: 'unknown',
      will: undefined,
    }
    this.calls.push(call)
    return call
  }

  saving(uid: number, epoch: number, cursor: Cursor, called: number): CursorSaving {
    const saving: CursorSaving = { uid, epoch, cursor, called, returned: Number.POSITIVE_INFINITY, outcome: 'unknown' }
    this.savings.push(saving)
    return saving
  }

  /** The answer to an opening has come. */
  told(opening: Opening, told: OpenedSession, at: number): void {
    opening.told = told
    opening.returned = at
    const { clientId } = opening.request
    this.#told.set(clientId, this.toldOf(clientId) + 1)
  }

  /** Openings of a client that were answered. */
  toldOf(clientId: string): number {
    return this.#told.get(clientId) ?? 0
  }
}
