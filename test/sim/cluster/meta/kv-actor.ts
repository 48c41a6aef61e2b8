// SPDX-License-Identifier: Apache-2.0
// A client of the key-value store with a session of its own: gets, puts, deletes, compares and transactions on few keys, some at the same time, tried again by the
// client that production has. What it cannot know it records as unknown.
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { KvAction, KvClient, KvCompare, KvItem, KvRevision } from '#contract/client/kv-client'
import type { SimRandom } from '../../random.ts'
import type { World } from '../../world.ts'
import type { RegisterCall, RegisterReply } from '../register-call.ts'
import { RegisterHistory } from '../register-client.ts'
import { KvLedger } from './kv-ledger.ts'
import type { MetaWorkload } from './meta-configuration.ts'

/** What a call came to. */
interface Answer {
  readonly revision: KvRevision
  /** What the keys are known to have held. */
  readonly found: RegisterReply
  readonly isWritten: boolean
}

interface KvCall {
  readonly call: RegisterCall
  readonly run: () => Promise<Answer>
}

const NOT_DONE: readonly unknown[] = [
  ERROR_CODES.notLeader,
  ERROR_CODES.notReady,
  ERROR_CODES.unreachable,
  ERROR_CODES.stopping,
  ERROR_CODES.proposalDropped,
]

/** What the clients of a run share. */
export class KvRecord {
  readonly history: RegisterHistory
  readonly ledger = new KvLedger()
  readonly #items = new Map<string, KvItem | undefined>()

  constructor(keys: number) {
    this.history = new RegisterHistory(keys)
  }

  /** What some client saw last: the best guess for a compare. */
  guess(key: string): KvItem | undefined {
    return this.#items.get(key)
  }

  see(key: string, item: KvItem | undefined): number {
    this.#items.set(key, item)
    return numberOf(item)
  }
}

export class KvActor {
  readonly #world: World
  readonly #random: SimRandom
  readonly #workload: MetaWorkload
  readonly #client: KvClient
  readonly #record: KvRecord
  #open = 0
  #stopped = false
  #done = 0

  constructor(world: World, random: SimRandom, workload: MetaWorkload, client: KvClient, record: KvRecord) {
    this.#world = world
    this.#random = random
    this.#workload = workload
    this.#client = client
    this.#record = record
    for (let lane = 0; lane < workload.lanes; lane++) this.#think()
  }

  /** Calls that were answered. */
  get done(): number {
    return this.#done
  }

  stop(): void {
    this.#stopped = true
  }

  get idle(): boolean {
    return this.#stopped && this.#open === 0
  }

  #think(): void {
    this.#world.schedule('client', undefined, this.#random.delayMs(this.#workload.thinkMs), () => {
      if (!this.#stopped) this.#make(this.#draw())
    })
  }

  #make({ call, run }: KvCall): void {
    const called = this.#world.nowMs
    this.#open++
    run().then(
      (answer) => {
        this.#answered(call, called, answer)
        this.#ended()
      },
      (error: unknown) => {
        this.#failed(call, called, error)
        this.#ended()
      },
    )
  }

  #ended(): void {
    this.#open--
    this.#think()
  }

  #answered(call: RegisterCall, called: number, { revision, found, isWritten }: Answer): void {
    const { history, ledger } = this.#record
    const returned = this.#world.nowMs
    this.#done++
    history.record(call, found, called, returned)
    if (call.set.size > 0 && isWritten) ledger.wrote({ values: valuesOf(call), called, returned, outcome: { kind: 'done', revision } })
    else ledger.read(called, revision)
    if (call.set.size > 0 && !isWritten) ledger.wrote({ values: valuesOf(call), called, returned, outcome: { kind: 'refused' } })
  }

  #failed(call: RegisterCall, called: number, error: unknown): void {
    const { history, ledger } = this.#record
    const isUnknown = isPlatformError(error, ERROR_CODES.outcomeUnknown)
    if (!isUnknown && !(isPlatformError(error) && NOT_DONE.includes(error.code))) {
      this.#world.fail(error)
      return
    }
    if (call.set.size === 0) return
    const returned = Number.POSITIVE_INFINITY
    if (isUnknown) history.record(call, undefined, called, returned)
    ledger.wrote({ values: valuesOf(call), called, returned, outcome: { kind: isUnknown ? 'unknown' : 'refused' } })
  }

  #draw(): KvCall {
    const random = this.#random
    const key = this.#key()
    if (random.chance(this.#workload.readRatio)) return this.#get(key)
    switch (random.range(0, 9)) {
      case 0:
        return this.#delete(key)
      case 1:
      case 2:
      case 3:
        return this.#compareAndSet(key)
      case 4:
      case 5:
      case 6:
        return this.#transaction([...new Set([key, this.#key()])])
      default:
        return this.#put(key)
    }
  }

  #get(key: string): KvCall {
    const call = { expected: new Map(), set: new Map(), read: [key] }
    const run = async (): Promise<Answer> => {
      const { revision, item } = await this.#client.get(Buffer.from(key))
      return { revision, found: this.#seen(key, item), isWritten: false }
    }
    return { call, run }
  }

  #put(key: string): KvCall {
    const value = this.#record.history.nextValue()
    const run = async (): Promise<Answer> => {
      const { revision } = await this.#client.put(Buffer.from(key), this.#bytesOf(value))
      return { revision, found: new Map(), isWritten: true }
    }
    return { call: { expected: new Map(), set: new Map([[key, value]]), read: [] }, run }
  }

  #delete(key: string): KvCall {
    const run = async (): Promise<Answer> => {
      const { revision, deleted } = await this.#client.delete(Buffer.from(key))
      return { revision, found: deleted === 0 ? new Map([[key, 0]]) : new Map(), isWritten: true }
    }
    return { call: { expected: new Map(), set: new Map([[key, 0]]), read: [] }, run }
  }

  #compareAndSet(key: string): KvCall {
    const guess = this.#record.guess(key)
    const value = this.#record.history.nextValue()
    const expected = new Map([[key, numberOf(guess)]])
    const run = async (): Promise<Answer> => {
      const reply = await this.#client.compareAndSet(Buffer.from(key), guess?.modRevision ?? 0, this.#bytesOf(value))
      if (reply.kind === 'done') return { revision: reply.revision, found: expected, isWritten: true }
      return { revision: reply.revision, found: this.#seen(key, reply.item), isWritten: false }
    }
    return { call: { expected, set: new Map([[key, value]]), read: [] }, run }
  }

  /** Sets all keys if they are as they were seen last; shows them if not. */
  #transaction(keys: readonly string[]): KvCall {
    const guesses = new Map(keys.map((key) => [key, this.#record.guess(key)]))
    const expected = new Map([...guesses].map(([key, guess]) => [key, numberOf(guess)]))
    const set = new Map(keys.map((key) => [key, this.#record.history.nextValue()]))
    const compares = [...guesses].map(([key, guess]) => this.#compare(key, guess))
    const success = [...set].map(([key, value]): KvAction => ({ kind: 'put', key: Buffer.from(key), value: this.#bytesOf(value) }))
    const failure = keys.map((key): KvAction => ({ kind: 'get', key: Buffer.from(key) }))
    const run = async (): Promise<Answer> => {
      const { succeeded, revision, results } = await this.#client.transaction({ compares, success, failure })
      if (succeeded) return { revision, found: expected, isWritten: true }
      const items = results.map((result) => (result.kind === 'get' ? result.item : undefined))
      return { revision, found: new Map(keys.map((key, at) => [key, this.#record.see(key, items[at])])), isWritten: false }
    }
    return { call: { expected, set, read: [] }, run }
  }

  #compare(key: string, guess: KvItem | undefined): KvCompare {
    if (guess === undefined || this.#random.chance(0.5))
      return { kind: 'revision', key: Buffer.from(key), revision: guess?.modRevision ?? 0 }
    return { kind: 'value', key: Buffer.from(key), value: guess.value }
  }

  #seen(key: string, item: KvItem | undefined): RegisterReply {
    return new Map([[key, this.#record.see(key, item)]])
  }

  #key(): string {
    return this.#record.history.keyAt(this.#random.range(0, this.#workload.keys - 1))
  }

  #bytesOf(value: number): Buffer {
    return Buffer.from(String(value) + ' '.repeat(this.#random.range(0, this.#workload.paddingMax)))
  }
}

/** Absent keys hold 0. */
const numberOf = (item: KvItem | undefined): number => (item === undefined ? 0 : Number(item.value.toString()))

const valuesOf = ({ set }: RegisterCall): ReadonlyMap<string, number> => new Map([...set].filter(([, value]) => value !== 0))
