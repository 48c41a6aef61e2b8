// SPDX-License-Identifier: Apache-2.0
// What the publishers of delayed messages must not lose, and when it may go: packet ids of QoS 2 that are stored and not released, and messages
// that are being published under their sequences. Meta has the packet ids; they are few, and known here too, so that sessions without any cost nothing.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { DelayedClient, DelayedReceipt } from '#contract/client/delayed-client'
import type { SessionKey } from '#contract/record/session'

/** Pages through all sessions there are, by key. */
export type SessionPages = (after: SessionKey | undefined, count: number) => Promise<readonly (SessionKey & { readonly uid: number })[]>

interface Forgetting {
  readonly publishers: readonly number[]
  readonly proceed: () => void
  readonly fail: (error: PlatformError) => void
}

const PAGE = 1_000

export class DelayedReceipts {
  readonly #meta: Pick<DelayedClient, 'receipts' | 'release' | 'forget'>
  readonly #packetIds = new Map<number, Set<number>>()
  /** Ids of messages that may be in their log and not yet out of meta, by publisher. */
  readonly #begun = new Map<number, Set<number>>()
  #forgetting: Forgetting[] = []

  constructor(meta: Pick<DelayedClient, 'receipts' | 'release' | 'forget'>) {
    this.#meta = meta
  }

  /** Takes up what there is, without what a crash has left of sessions that have ended. */
  async load(sessions: SessionPages): Promise<void> {
    const receipts = await this.#meta.receipts()
    if (receipts.length === 0) return
    for (const receipt of receipts) this.add(receipt)
    const ended = new Set(this.#packetIds.keys())
    let after: SessionKey | undefined
    for (;;) {
      const page = await sessions(after, PAGE)
      for (const { uid } of page) ended.delete(uid)
      if (page.length < PAGE) break
      after = page[page.length - 1]
    }
    await this.forget([...ended])
  }

  /** Whoever waits is told so. */
  stop(): void {
    const waiting = this.#forgetting
    this.#forgetting = []
    for (const { fail } of waiting)
      fail(new PlatformError(ERROR_CODES.stopping, 'the node stops before its delayed messages are published'))
  }

  add({ publisher, packetId }: DelayedReceipt): void {
    const known = this.#packetIds.get(publisher)
    if (known === undefined) this.#packetIds.set(publisher, new Set([packetId]))
    else known.add(packetId)
  }

  of(publisher: number): readonly number[] {
    return [...(this.#packetIds.get(publisher) ?? [])]
  }

  async release(receipt: DelayedReceipt): Promise<void> {
    await this.#meta.release(receipt)
    const known = this.#packetIds.get(receipt.publisher)
    known?.delete(receipt.packetId)
    if (known?.size === 0) this.#packetIds.delete(receipt.publisher)
  }

  /** Waits for messages that are being published: until they are out of meta, their sequences keep them from coming twice. */
  async forget(publishers: readonly number[]): Promise<void> {
    if (publishers.some((publisher) => this.#begun.has(publisher))) {
      await new Promise<void>((proceed, fail) => this.#forgetting.push({ publishers, proceed, fail }))
    }
    const known = publishers.filter((publisher) => this.#packetIds.has(publisher))
    if (known.length === 0) return
    await this.#meta.forget(known)
    for (const publisher of known) this.#packetIds.delete(publisher)
  }

  /** A message is about to be published. Once more after a failure changes nothing. */
  begin(publisher: number, id: number): void {
    const begun = this.#begun.get(publisher)
    if (begun === undefined) this.#begun.set(publisher, new Set([id]))
    else begun.add(id)
  }

  /** It is published, and out of meta. */
  finish(publisher: number, id: number): void {
    const begun = this.#begun.get(publisher)
    begun?.delete(id)
    if (begun !== undefined && begun.size > 0) return
    this.#begun.delete(publisher)
    if (this.#forgetting.length === 0) return
    const ready = this.#forgetting.filter(({ publishers }) => !publishers.some((uid) => this.#begun.has(uid)))
    this.#forgetting = this.#forgetting.filter((waiting) => !ready.includes(waiting))
    for (const { proceed } of ready) proceed()
  }
}
