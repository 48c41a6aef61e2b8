// SPDX-License-Identifier: Apache-2.0
// Publishes wills, each once (Q13). In a durable log: it is appended under a sequence that the log remembers, then taken out of the session, and who has
// taken it releases the sequence. After a crash in between, the will is found in the session again and its second append is not stored. A log in memory
// forgets its sequences with the process: there the will is taken first, and a crash in between loses it, as it loses all that passes there.
import type { Clock } from '#base/port/clock'
import type { AppendOutcome, LogId } from '#contract/client/engine-client'
import type { MetaClient } from '#contract/client/meta-client'
import type { Session, SessionKey, Will } from '#contract/record/session'
import type { Shard, ShardRouter, ShardStore } from '#storage'
import type { LogSet } from './durable-logs.ts'
import type { Publisher } from './publish.ts'

/** Above all packet ids, so that a will never meets a message of its session. */
const WILL_SEQUENCE = 0x10000
/** Delayed messages have the sequences from 2^31 on. Two epochs of one session that are so far apart have no wills at the same time. */
const EPOCHS = 0x7fff0000

/** Whether the author of a will may publish it now, which it could when it gave it (Q22). */
export type WillPermission = (session: SessionKey, will: Will) => boolean

export class WillPublisher {
  readonly #publisher: Publisher
  readonly #router: ShardRouter
  readonly #store: Pick<ShardStore, 'release'>
  readonly #durableLogs: LogSet
  readonly #meta: Pick<MetaClient, 'takeWill'>
  readonly #clock: Clock
  readonly #mayFire: WillPermission

  constructor(
    publisher: Publisher,
    router: ShardRouter,
    store: Pick<ShardStore, 'release'>,
    durableLogs: LogSet,
    meta: Pick<MetaClient, 'takeWill'>,
    clock: Clock,
    mayFire: WillPermission,
  ) {
    this.#publisher = publisher
    this.#router = router
    this.#store = store
    this.#durableLogs = durableLogs
    this.#meta = meta
    this.#clock = clock
    this.#mayFire = mayFire
  }

  /** Publishes the will that `session` still holds, and takes it out. Resolves when both are committed. */
  async publishHeld(session: Session, will: Will): Promise<void> {
    const shard = this.#router.shard(will.topic)
    if (!this.#mayFire(session, will)) await this.#take(session)
    else if (this.#isDurable(shard, will)) {
      const log = await this.#append(shard, session, will)
      if (await this.#take(session)) await this.#release(session, log)
    } else if (await this.#take(session)) {
      await this.#release(session, await this.#append(shard, session, will))
    }
  }

  /** Publishes a will that the opening of another session has taken: under its sequence, for an append of the earlier owner may be on its way. */
  async publishTaken(session: Session, will: Will): Promise<void> {
    if (!this.#mayFire(session, will)) return
    await this.#release(session, await this.#append(this.#router.shard(will.topic), session, will))
  }

  /** False when somebody else has taken it. */
  async #take(session: Session): Promise<boolean> {
    return (await this.#meta.takeWill(session, session.uid, session.epoch)) !== undefined
  }

  #release(session: Session, log: LogId): Promise<unknown> {
    return this.#store.release(session.uid, sequenceOf(session), log)
  }

  #isDurable(shard: Shard, { qos, retain }: Will): boolean {
    return this.#durableLogs.has(retain ? shard.retained : shard.logFor(qos))
  }

  /** Resolves with the log that it is in. */
  #append(shard: Shard, session: Session, will: Will): Promise<LogId> {
    const { topic, qos, retain, headers, payload, messageExpirySeconds } = will
    const expiryMs = messageExpirySeconds === undefined ? 0 : this.#clock.realtime() + messageExpirySeconds * 1000
    return new Promise((resolve, reject) => {
      const published = (_tag: number, outcome: AppendOutcome): void => {
        if (outcome.kind === 'appended') resolve(log)
        else reject(new Error(`the will on '${topic}' was not stored: ${outcome.kind}`))
      }
      const message = { topic, qos, retain, publisher: session.uid, expiryMs, sequence: sequenceOf(session), headers, payload }
      const log = this.#publisher.publishMessage(shard, message, { published }, 0)
    })
  }
}

const sequenceOf = ({ epoch }: Session): number => WILL_SEQUENCE + (epoch % EPOCHS)
