// SPDX-License-Identifier: Apache-2.0
// The ledger of sessions put in order: openings by client and epoch, calls by the epoch that they name. Openings that nobody was told of are between the others, unseen or known
// by the owner that they left.
import { must } from '#base/assert'
import type { Session } from '#contract/record/session'
import { SimFailure } from '../../world.ts'
import { type Opening, type SessionCall, type SessionLedger, type ToldOpening, tagOf } from './session-ledger.ts'

export class SessionBroken extends SimFailure {
  readonly checker = 'sessions'
}

export class SessionHistory {
  readonly ledger: SessionLedger
  /** By epoch. */
  readonly told: readonly ToldOpening[]
  readonly #byClient = new Map<string, ToldOpening[]>()
  readonly #byTag = new Map<number, Opening>()
  readonly #calls = new Map<number, SessionCall[]>()
  /** Which opening an epoch belongs to, and the other way round. */
  readonly #tags = new Map<number, number>()
  readonly #epochs = new Map<number, number>()

  /** Throws when an epoch has two owners, or an opening two epochs. */
  constructor(ledger: SessionLedger) {
    this.ledger = ledger
    this.told = ledger.openings.filter(isTold).sort((a, b) => epochOf(a) - epochOf(b))
    for (const opening of ledger.openings) this.#byTag.set(opening.tag, opening)
    for (const opening of this.told) {
      this.#saw(opening.told.session)
      const { clientId } = opening.request
      listOf(this.#byClient, clientId).push(opening)
    }
    for (const call of ledger.calls) listOf(this.#calls, call.epoch).push(call)
    for (const { told } of this.told) if (told.previous !== undefined) this.#saw(told.previous)
    for (const { sessions } of ledger.listings) for (const session of sessions) this.#saw(session)
  }

  clients(): readonly string[] {
    return [...this.#byClient.keys()]
  }

  /** Openings of a client that were answered, by epoch. */
  toldOf(clientId: string): readonly ToldOpening[] {
    return this.#byClient.get(clientId) ?? []
  }

  /** Calls that may have been done in the name of an epoch. */
  callsOf(epoch: number): readonly SessionCall[] {
    return (this.#calls.get(epoch) ?? []).filter(({ outcome }) => outcome === 'done' || outcome === 'unknown')
  }

  /** Openings of a client that may have been done at any time after they were called. */
  unknownOf(clientId: string): readonly Opening[] {
    return this.ledger.openings.filter(({ told, request }) => told === undefined && request.clientId === clientId)
  }

  /** Whether somebody may have ended the session that the client had at `epoch` or later, before `beforeMs`. */
  mayHaveEnded(clientId: string, epoch: number, beforeMs: number): boolean {
    return this.ledger.calls.some(
      (call) =>
        call.clientId === clientId &&
        call.epoch >= epoch &&
        call.called < beforeMs &&
        (call.outcome === 'done' || call.outcome === 'unknown') &&
        (call.action.kind === 'end' || (call.action.kind === 'close' && call.action.expirySeconds === 0)),
    )
  }

  #saw({ owner, epoch, clientId }: Session): void {
    if (owner === undefined) return
    const tag = tagOf(owner)
    const opening = must(this.#byTag.get(tag), 'nobody opens sessions but brokers')
    if (opening.request.clientId !== clientId)
      throw new SessionBroken(`opening ${tag} of ${opening.request.clientId} is the owner of ${clientId}`)
    const [other, before] = [this.#tags.get(epoch) ?? tag, this.#epochs.get(tag) ?? epoch]
    if (other !== tag) throw new SessionBroken(`epoch ${epoch} has two owners: openings ${other} and ${tag} of ${clientId}`)
    if (before !== epoch) throw new SessionBroken(`opening ${tag} of ${clientId} was done twice, with epochs ${before} and ${epoch}`)
    this.#tags.set(epoch, tag)
    this.#epochs.set(tag, epoch)
  }
}

export const epochOf = ({ told }: ToldOpening): number => told.session.epoch

const isTold = (opening: Opening): opening is ToldOpening => opening.told !== undefined

export function listOf<K, V>(lists: Map<K, V[]>, key: K): V[] {
  const known = lists.get(key)
  if (known !== undefined) return known
  const list: V[] = []
  lists.set(key, list)
  return list
}
