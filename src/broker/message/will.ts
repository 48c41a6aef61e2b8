// SPDX-License-Identifier: Apache-2.0
// Publishes wills, each once: it is appended under a sequence that the log remembers, then taken out of the session, then the sequence is
// released. After a crash in between, the will is found in the session again and its second append is not stored (Q13).
import type { Clock } from '#base/port/clock'
import type { AppendOutcome } from '#contract/client/engine-client'
import type { MetaClient } from '#contract/client/meta-client'
import type { Session, SessionKey, Will } from '#contract/record/session'
import type { ShardRouter, ShardStore } from '#storage'
import type { Publisher } from './publish.ts'

/** Above all packet ids, so that a will never meets a message of its session. */
const WILL_SEQUENCE = 0x10000

/** Whether the author of a will may publish it now, which it could when it gave it (Q22). */
export type WillPermission = (session: SessionKey, will: Will) => boolean

export class WillPublisher {
  readonly #publisher: Publisher
  readonly #router: ShardRouter
  readonly #store: Pick<ShardStore, 'release'>
  readonly #meta: Pick<MetaClient, 'takeWill'>
  readonly #clock: Clock
  readonly #mayFire: WillPermission

  constructor(
    publisher: Publisher,
    router: ShardRouter,
    store: Pick<ShardStore, 'release'>,
    meta: Pick<MetaClient, 'takeWill'>,
    clock: Clock,
    mayFire: WillPermission,
  ) {
    this.#publisher = publisher
    this.#router = router
    this.#store = store
    this.#meta = meta
    this.#clock = clock
    this.#mayFire = mayFire
  }

  /** Publishes the will that `session` still holds, and takes it out. Resolves when both are committed. */
  async publishHeld(session: Session, will: Will): Promise<void> {
    const sequence = WILL_SEQUENCE + session.epoch
    if (this.#mayFire(session, will)) await this.#append(session.uid, will, sequence)
    await this.#meta.takeWill(session, session.uid, session.epoch)
    await this.#store.release(session.uid, sequence, undefined)
  }

  /** Publishes a will that is no longer in any session. Under its sequence, so that one that is on its way already is not stored again. */
  async publishTaken(session: Session, will: Will): Promise<void> {
    if (this.#mayFire(session, will)) await this.#append(session.uid, will, WILL_SEQUENCE + session.epoch)
  }

  #append(publisher: number, will: Will, sequence: number): Promise<void> {
    const { topic, qos, retain, headers, payload, messageExpirySeconds } = will
    const expiryMs = messageExpirySeconds === undefined ? 0 : this.#clock.realtime() + messageExpirySeconds * 1000
    return new Promise((resolve, reject) => {
      const published = (_tag: number, outcome: AppendOutcome): void => {
        if (outcome.kind === 'appended') resolve()
        else reject(new Error(`the will on '${topic}' was not stored: ${outcome.kind}`))
      }
      this.#publisher.publishMessage(
        this.#router.shard(topic),
        { topic, qos, retain, publisher, expiryMs, sequence, headers, payload },
        { published },
        0,
      )
    })
  }
}
