// SPDX-License-Identifier: Apache-2.0
// A meta service with its groups and machines on a store in memory, and short ways to write the records that tests need.
import type { Clock, Timer } from '#base/port/clock'
import type { Logger } from '#base/port/logger'
import type { Metrics } from '#base/port/metrics'
import type { OpenSessionRequest, RetainedWrite } from '#contract/client/meta-client'
import { type BrokerIdentity, type Cursor, EXPIRY_NEVER, type SessionKey, type Subscription, type Will } from '#contract/record/session'
import { AppliedSignal, createMetaMachine, type MetaGroupKind, MetaService, type ProgramVersion } from '#meta'
import { FakeGroup } from './fake-group.ts'
import { MemoryKv } from './memory-kv.ts'

export const NOW_MS = 1_700_000_000_000
const FIRST_GROUP = { metadata: 1, offset: 100, data: 200 } as const

/** A clock that stands still, and fires its timers when the test says so. */
export class StoppedClock implements Clock {
  nowMs = NOW_MS
  readonly timers: { readonly delayMs: number; readonly fire: () => void; cancelled: boolean }[] = []

  monotonic(): number {
    return this.nowMs
  }

  realtime(): number {
    return this.nowMs
  }

  after(delayMs: number, fire: () => void): Timer {
    const timer = { delayMs, fire, cancelled: false }
    this.timers.push(timer)
    return {
      cancel: () => {
        timer.cancelled = true
      },
    }
  }

  endOfTurn(): void {
    throw new Error('no test here ends a turn')
  }
}

const SILENT: Logger = { log: () => undefined, scope: () => SILENT }
const UNCOUNTED: Metrics = {
  counter: () => ({ add: () => undefined }),
  gauge: () => undefined,
  histogram: () => ({ observe: () => undefined }),
}

export interface MetaNode {
  readonly kv: MemoryKv
  readonly clock: StoppedClock
  readonly metadata: FakeGroup
  readonly offset: readonly FakeGroup[]
  readonly data: readonly FakeGroup[]
  readonly service: MetaService
  /** Raised by the group of the metadata. */
  readonly signal: AppliedSignal
  /** Resolves when nothing is under way in any group. */
  idle(): Promise<void>
}

export interface MetaNodeOptions {
  readonly kv?: MemoryKv
  readonly offsetGroups?: number
  readonly dataGroups?: number
  readonly program?: ProgramVersion
  readonly members?: () => readonly number[]
}

/** The service is not started. The machines' entries begin at index 1: a store of an earlier node is used for reading only. */
export async function createMetaNode(options: MetaNodeOptions = {}): Promise<MetaNode> {
  const kv = options.kv ?? new MemoryKv()
  const signal = new AppliedSignal()
  const groupsOf = (kind: MetaGroupKind, count: number): Promise<FakeGroup[]> =>
    Promise.all(
      Array.from({ length: count }, async (_, ordinal) => {
        const heard = kind === 'metadata' ? signal : new AppliedSignal()
        const machine = createMetaMachine(kind, FIRST_GROUP[kind] + ordinal, ordinal, count, kv, heard)
        const applied = await machine.open()
        const group = new FakeGroup(FIRST_GROUP[kind] + ordinal, machine)
        for (let index = 1; index <= applied; index++) group.entries.push({ index, term: 1, kind: 'empty', data: Buffer.alloc(0) })
        return group
      }),
    )
  const [metadata] = (await groupsOf('metadata', 1)) as [FakeGroup]
  const offset = await groupsOf('offset', options.offsetGroups ?? 1)
  const data = await groupsOf('data', options.dataGroups ?? 1)
  const clock = new StoppedClock()
  const crash = (reason: Error): never => {
    throw reason
  }
  const ports = { kv, clock, logger: SILENT, metrics: UNCOUNTED, crash }
  const service = new MetaService(
    ports,
    { metadata, offset, data, signals: { metadata: signal, offset: [], data: [] }, ...(options.members && { members: options.members }) },
    options.program,
  )
  const groups = [metadata, ...offset, ...data]
  const idle = async (): Promise<void> => {
    // A command of one group may follow from a reply of another, a microtask or two later.
    for (let round = 0; round < 10; round++) {
      await new Promise((resolve) => setImmediate(resolve))
      for (const group of groups) await group.idle()
    }
  }
  return { kv, clock, metadata, offset, data, service, signal, idle }
}

export const A: BrokerIdentity = { node: 1, bootEpoch: 1 }
export const B: BrokerIdentity = { node: 2, bootEpoch: 7 }

export const client = (clientId: string): SessionKey => ({ tenant: 'default', clientId })

/** A persistent session, opened by broker A, unless the changes say otherwise. */
export const opening = (clientId: string, changes: Partial<OpenSessionRequest> = {}): OpenSessionRequest => ({
  ...client(clientId),
  owner: A,
  cleanStart: false,
  expirySeconds: EXPIRY_NEVER,
  will: undefined,
  nowMs: NOW_MS,
  ...changes,
})

export const will = (topic: string, delaySeconds = 0): Will => ({
  topic,
  qos: 1,
  retain: false,
  payload: Buffer.from(`will of ${topic}`),
  headers: Buffer.from('h'),
  delaySeconds,
  messageExpirySeconds: undefined,
})

export const subscription = (filter: string, qos = 1): Subscription => ({
  filter,
  qos,
  noLocal: false,
  retainAsPublished: true,
  identifier: 5,
  since: [{ log: 3, position: 77 }],
})

export const cursor = (log: number, next: number): Cursor => ({
  log,
  next,
  seen: next + 3,
  inFlight: [
    { position: next + 1, packetId: 9, order: 0, qos: 1, released: false },
    { position: next + 2, packetId: 10, order: 1, qos: 2, released: true },
  ],
})

/** A retained value; an empty text removes it. */
export const retainedWrite = (topic: string, position: number, text: string, expiryMs = 0, log = 1): RetainedWrite => ({
  topic,
  log,
  position,
  appendTimeMs: NOW_MS,
  isRepeated: false,
  message:
    text === ''
      ? undefined
      : { topic, qos: 1, expiryMs, storedAtMs: NOW_MS, publisher: 4, headers: Buffer.alloc(0), payload: Buffer.from(text) },
})
