// SPDX-License-Identifier: Apache-2.0
// Replicas that have applied the same entries hold the same: equal hashes at each index (R51), and equal bytes of all keys of a group (R41).
import type { SortedMap } from '../../sorted-map.ts'
import { SimFailure } from '../../world.ts'

export class StateBroken extends SimFailure {
  readonly checker = 'state'
}

/** As `src/meta/codec/key.ts` and `applied-codec.ts` have them. */
const TABLE = { applied: 1, barrier: 2 } as const
const INDEX_AT = 6

export class StateChecker {
  readonly #groups: readonly number[]
  /** The record of how far a state has come, hash included, by group and index. */
  readonly #records = new Map<string, string>()
  readonly #seen = new Map<string, Buffer>()

  constructor(groups: readonly number[]) {
    this.#groups = groups
  }

  /** What a node has stored, whenever it may have changed. */
  look(node: number, stored: SortedMap): void {
    for (const group of this.#groups) {
      const record = stored.get(keyOf(group, TABLE.applied))
      const place = `${node}/${group}`
      if (record === undefined || record === this.#seen.get(place)) continue
      this.#seen.set(place, record)
      const at = `${group}/${indexOf(record)}`
      const bytes = record.toString('hex')
      const known = this.#records.get(at)
      if (known === undefined) this.#records.set(at, bytes)
      else if (known !== bytes) throw new StateBroken(`node ${node}: the state of group ${at} is ${bytes}, and elsewhere ${known}`)
    }
  }

  /** Compares the contents of replicas that stand at the same index. True when all of them do. */
  compare(replicas: ReadonlyMap<number, SortedMap>): boolean {
    let agreed = true
    for (const group of this.#groups) {
      const firsts = new Map<string, { readonly node: number; readonly dump: string }>()
      for (const [node, stored] of replicas) {
        const record = stored.get(keyOf(group, TABLE.applied))
        if (record === undefined) {
          agreed = false
          continue
        }
        const index = String(indexOf(record))
        const dump = dumpOf(group, stored)
        const first = firsts.get(index)
        if (first === undefined) firsts.set(index, { node, dump })
        else if (first.dump !== dump) throw new StateBroken(`group ${group} at ${index} differs: ${differenceOf(first, { node, dump })}`)
      }
      agreed &&= firsts.size === 1
    }
    return agreed
  }
}

const indexOf = (record: Buffer): bigint => record.readBigUInt64BE(INDEX_AT)

function keyOf(group: number, table: number): string {
  const key = Buffer.alloc(6)
  key.write('m')
  key.writeUInt32BE(group, 1)
  key.writeUInt8(table, 5)
  return key.toString('latin1')
}

/** All but the key that is only written to make others durable. */
function dumpOf(group: number, stored: SortedMap): string {
  const lines: string[] = []
  const barrier = keyOf(group, TABLE.barrier)
  stored.walk(keyOf(group, 0), keyOf(group + 1, 0), false, (key, value) => {
    if (key !== barrier) lines.push(`${Buffer.from(key, 'latin1').toString('hex')}=${value.toString('hex')}`)
    return true
  })
  return lines.join('\n')
}

interface Dump {
  readonly node: number
  readonly dump: string
}

function differenceOf(a: Dump, b: Dump): string {
  const [inA, inB] = [a.dump.split('\n'), b.dump.split('\n')]
  const only = (lines: string[], others: readonly string[]): string | undefined => lines.find((line) => !others.includes(line))
  return `only node ${a.node} has ${only(inA, inB)}, only node ${b.node} has ${only(inB, inA)}`
}
