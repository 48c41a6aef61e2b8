// SPDX-License-Identifier: Apache-2.0
// The plainest state machine that a group can replicate: named registers, kept in the key-value store with the applied index in the same write (R8).
// With it the consensus layer is judged by itself.
import { crc32c } from '#base/crc32c'
import type { Kv, KvOperation } from '#base/port/kv'
import type { Entry, InstalledSnapshot, LogIndex, StateMachine, StateSnapshot } from '#raft'
import { decodeCall, type RegisterCall, type RegisterReply, type RegisterValue } from './register-call.ts'

/** Hashes are kept at multiples of it, for as many as this. */
const HASHED_EVERY = 64
const HASHES_MAX = 16
const PAIRS_OF_CHUNK = 8
const FORMAT_VERSION = 1

const APPLIED = Buffer.from('applied')
const FIRST = Buffer.from('r/')
const END = Buffer.from('r0')

/** What a checker is told, entry by entry. */
export interface MachineObserver {
  applied(entry: Entry, state: number): void
  installed(index: LogIndex, state: number): void
}

export class RegisterMachine implements StateMachine {
  readonly #kv: Kv
  readonly #observer: MachineObserver
  #registers = new Map<string, RegisterValue>()
  #applied: LogIndex = 0
  /** Of all changes up to `#applied`, in order. */
  #hash = 0
  readonly #hashes = new Map<LogIndex, number>()
  #writing: Promise<void> = Promise.resolve()

  constructor(kv: Kv, observer: MachineObserver) {
    this.#kv = kv
    this.#observer = observer
  }

  async open(): Promise<LogIndex> {
    const applied = await this.#kv.get(APPLIED)
    if (applied === undefined) return 0
    this.#applied = applied.readUInt32BE(0)
    this.#hash = applied.readUInt32BE(4)
    for (const { key, value } of await this.#kv.scan({ gte: FIRST, lt: END })) this.#registers.set(nameOf(key), value.readUInt32BE(0))
    return this.#applied
  }

  async apply(entries: readonly Entry[]): Promise<readonly unknown[]> {
    const changed = new Set<string>()
    const replies = entries.map((entry) => this.#applyEntry(entry, changed))
    const writes: KvOperation[] = [...changed].map((name) => ({ key: keyOf(name), value: bytesOf(this.#registers.get(name) ?? 0) }))
    writes.push({ key: APPLIED, value: this.#appliedRecord() })
    this.#writing = this.#kv.write(writes, { sync: false })
    await this.#writing
    return replies
  }

  async persist(): Promise<LogIndex> {
    const covered = this.#applied
    await this.#writing
    await this.#kv.write([{ key: Buffer.from('barrier'), value: Buffer.of(1) }], { sync: true })
    return covered
  }

  async snapshot(): Promise<StateSnapshot> {
    await this.#writing
    const pairs = [...this.#registers]
    const lines = [[this.#applied, this.#hash], ...pairs].map((pair) => JSON.stringify(pair))
    return { index: this.#applied, formatVersion: FORMAT_VERSION, chunks: chunksOf(lines), close: async () => {} }
  }

  async install({ index, chunks }: InstalledSnapshot): Promise<void> {
    const lines: string[] = []
    for await (const chunk of chunks) lines.push(...chunk.toString().split('\n'))
    const [head, ...pairs] = lines.map((line) => JSON.parse(line) as readonly [string | number, number])
    if (head === undefined || head[0] !== index) throw new Error(`the snapshot is of entry ${head?.[0]}, not ${index}`)
    // In two steps, so that a crash between them leaves neither the old state nor the new.
    const old = await this.#kv.scan({ gte: FIRST, lt: END })
    await this.#kv.write([{ key: APPLIED, value: undefined }, ...old.map(({ key }) => ({ key, value: undefined }))], { sync: false })
    this.#registers = new Map(pairs.map(([name, value]) => [String(name), value]))
    this.#applied = index
    this.#hash = head[1]
    this.#hashes.clear()
    const writes = [...this.#registers].map(([name, value]) => ({ key: keyOf(name), value: bytesOf(value) }))
    await this.#kv.write([...writes, { key: APPLIED, value: this.#appliedRecord() }], { sync: true })
    this.#observer.installed(index, this.#hash)
  }

  stateHash(index: LogIndex): number | undefined {
    return this.#hashes.get(index)
  }

  /** What the registers hold here and now. */
  read(names: readonly string[]): RegisterReply {
    return new Map(names.map((name) => [name, this.#registers.get(name) ?? 0]))
  }

  #applyEntry(entry: Entry, changed: Set<string>): unknown {
    if (entry.index !== this.#applied + 1) throw new Error(`entry ${entry.index} follows ${this.#applied}`)
    const reply = entry.kind === 'normal' ? this.#call(decodeCall(entry.data), changed) : undefined
    this.#applied = entry.index
    this.#hash = crc32c(entry.data, crc32c(Buffer.from(`${entry.index} ${entry.kind}`), this.#hash))
    if (entry.index % HASHED_EVERY === 0) this.#hashes.set(entry.index, this.#hash)
    this.#hashes.delete(entry.index - HASHED_EVERY * HASHES_MAX)
    this.#observer.applied(entry, this.#hash)
    return reply
  }

  #call({ expected, set, read }: RegisterCall, changed: Set<string>): RegisterReply {
    const names = [...expected.keys(), ...set.keys(), ...read]
    const found = this.read(names)
    for (const [name, value] of expected) if (found.get(name) !== value) return found
    for (const [name, value] of set) {
      this.#registers.set(name, value)
      changed.add(name)
    }
    return found
  }

  #appliedRecord(): Buffer {
    const record = Buffer.alloc(8)
    record.writeUInt32BE(this.#applied, 0)
    record.writeUInt32BE(this.#hash, 4)
    return record
  }
}

async function* chunksOf(lines: readonly string[]): AsyncGenerator<Buffer, void> {
  for (let at = 0; at < lines.length; at += PAIRS_OF_CHUNK) yield Buffer.from(lines.slice(at, at + PAIRS_OF_CHUNK).join('\n'))
}

const keyOf = (name: string): Buffer => Buffer.from(`r/${name}`)
const nameOf = (key: Buffer): string => key.toString().slice(2)

function bytesOf(value: RegisterValue): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value, 0)
  return bytes
}
