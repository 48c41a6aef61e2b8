// SPDX-License-Identifier: Apache-2.0
// Damages what a log has stored, where its storage type has it.
import assert from 'node:assert/strict'
import { decodeReference } from '../../../src/engine/log/reference.ts'
import type { EngineNode } from './engine-node.ts'

/** Flips a bit in the records of the first run, or entry, of the chunk that begins at `position`. */
export async function damageRecordsOf(node: EngineNode, log: number, position: number): Promise<void> {
  const runs = await node.kv.scan({ gte: Buffer.from([0x65, 0, 0, 0, log, 0x72]), lt: Buffer.from([0x65, 0, 0, 0, log, 0x73]) })
  const run = runs.find(({ key }) => key.readUIntBE(12, 6) === position)
  assert.ok(run !== undefined)
  if (node.engine.logs()[log]?.storage === 'rocksdb') {
    const value = Buffer.from(run.value)
    value.writeUInt8(value.readUInt8(value.length - 5) ^ 1, value.length - 5)
    await node.kv.write([{ key: run.key, value }], { sync: false })
  } else damageEntry(node, log, decodeReference(run.key, run.value).entries[0] as number)
}

/** Flips a bit in the data of an entry. */
export function damageEntry(node: EngineNode, log: number, index: number): void {
  const entry = node.group(log).entries.find((candidate) => candidate.index === index)
  assert.ok(entry !== undefined)
  const at = entry.data.length - 5
  entry.data.writeUInt8(entry.data.readUInt8(at) ^ 1, at)
}

/** Flips a bit in the reference of a topic, by its place among the runs of the log. */
export async function damageReference(node: EngineNode, log: number, place: number): Promise<void> {
  const runs = await node.kv.scan({ gte: Buffer.from([0x65, 0, 0, 0, log, 0x72]), lt: Buffer.from([0x65, 0, 0, 0, log, 0x73]) })
  const run = runs[place]
  assert.ok(run !== undefined)
  const value = Buffer.from(run.value)
  value.writeUInt8(value.readUInt8(5) ^ 1, 5)
  await node.kv.write([{ key: run.key, value }], { sync: false })
}
