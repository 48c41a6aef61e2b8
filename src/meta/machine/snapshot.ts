// SPDX-License-Identifier: Apache-2.0
// The state of a group as a stream of bytes, and back. A consistent view of the store is read while applying goes on (R39).
//
//   stream := pair* end                         cut anywhere into chunks
//   pair   := key-bytes-u32 value-bytes-u32 key value
//   end    := 0-u32 8-u32 pairs-u64             a stream without it is cut short, which is never taken for less data (R43)
//
// Keys are without what all keys of the group begin with. The first pair is the applied record.
import { readUint64, uint64Bytes } from '#base/bytes'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Kv, KvIterator, KvOperation, KvPair } from '#base/port/kv'
import type { StateSnapshot } from '#raft'
import { decodeApplied } from '../codec/applied-codec.ts'
import { GROUP_PREFIX_BYTES, type GroupKeys, keyAfter } from '../codec/key.ts'

/** Of the stream. Another one may be written only when all members of the cluster know it (R55). */
export const SNAPSHOT_FORMAT = 1

const CHUNK_BYTES = 1 << 18
const HEADER_BYTES = 8
const READ_PAIRS = 32
/** Of one write: bounds how long the loop is held. */
const BATCH_BYTES = 1 << 18
const BATCH_PAIRS = 256

export async function takeSnapshot(kv: Kv, keys: GroupKeys): Promise<StateSnapshot> {
  const iterator = kv.iterate(keys.all())
  const close = (): Promise<void> => iterator.close()
  try {
    const first = await iterator.next(1)
    const record = first[0]
    const index = record?.key.equals(keys.applied) ? decodeApplied(record.value).index : 0
    return { index, formatVersion: SNAPSHOT_FORMAT, chunks: chunksOf(first, iterator, keys.barrier), close }
  } catch (error) {
    await close()
    throw error
  }
}

async function* chunksOf(first: readonly KvPair[], iterator: KvIterator, barrier: Buffer): AsyncGenerator<Buffer> {
  let parts: Buffer[] = []
  let bytes = 0
  let count = 0
  const add = (key: Buffer, value: Buffer): void => {
    const header = Buffer.allocUnsafe(HEADER_BYTES)
    header.writeUInt32BE(key.length, 0)
    header.writeUInt32BE(value.length, 4)
    parts.push(header, key, value)
    bytes += HEADER_BYTES + key.length + value.length
  }
  for (let page = first; page.length > 0; page = await iterator.next(READ_PAIRS)) {
    for (const { key, value } of page) {
      if (key.equals(barrier)) continue
      add(key.subarray(GROUP_PREFIX_BYTES), value)
      count++
    }
    if (bytes < CHUNK_BYTES) continue
    const whole = Buffer.concat(parts, bytes)
    let at = 0
    for (; whole.length - at >= CHUNK_BYTES; at += CHUNK_BYTES) yield whole.subarray(at, at + CHUNK_BYTES)
    parts = [whole.subarray(at)]
    bytes = whole.length - at
  }
  add(Buffer.alloc(0), uint64Bytes(count))
  const whole = Buffer.concat(parts, bytes)
  for (let at = 0; at < whole.length; at += CHUNK_BYTES) yield whole.subarray(at, at + CHUNK_BYTES)
}

/**
 * Replaces all that the group has in the store. The applied record is removed with the first write and comes with the last one, which is synced: what
 * a crash leaves in between is seen to be no state. Gives the record. Throws dataDamaged, after which the store holds no state.
 */
export async function installPairs(kv: Kv, keys: GroupKeys, chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  await clear(kv, keys)
  const prefix = keys.applied.subarray(0, GROUP_PREFIX_BYTES)
  let applied: Buffer | undefined
  let batch: KvOperation[] = []
  let bytes = 0
  for await (const pair of pairsOf(chunks)) {
    const key = Buffer.concat([prefix, pair.key])
    if (key.equals(keys.applied)) {
      applied = Buffer.from(pair.value)
      continue
    }
    batch.push({ key, value: pair.value })
    bytes += key.length + pair.value.length
    if (batch.length < BATCH_PAIRS && bytes < BATCH_BYTES) continue
    await kv.write(batch, { sync: false })
    batch = []
    bytes = 0
  }
  if (applied === undefined) throw damaged('names no applied index')
  batch.push({ key: keys.applied, value: applied })
  await kv.write(batch, { sync: true })
  return applied
}

async function clear(kv: Kv, keys: GroupKeys): Promise<void> {
  const { lt } = keys.all()
  let { gte } = keys.all()
  for (;;) {
    const page = await kv.scan({ gte, lt, limit: BATCH_PAIRS })
    const last = page.at(-1)
    if (last === undefined) return
    await kv.write(
      page.map(({ key }) => ({ key, value: undefined })),
      { sync: false },
    )
    gte = keyAfter(last.key)
  }
}

/** The pairs of a stream, without their group. Throws dataDamaged when it does not come to its end. */
async function* pairsOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<KvPair> {
  let rest: Buffer = Buffer.alloc(0)
  let count = 0
  let ended = false
  for await (const chunk of chunks) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    while (bytes.length - at >= HEADER_BYTES) {
      if (ended) throw damaged('goes on after its end')
      const keyEnd = at + HEADER_BYTES + bytes.readUInt32BE(at)
      const end = keyEnd + bytes.readUInt32BE(at + 4)
      if (end > bytes.length) break
      const pair = { key: bytes.subarray(at + HEADER_BYTES, keyEnd), value: bytes.subarray(keyEnd, end) }
      at = end
      if (pair.key.length > 0) {
        count++
        yield pair
      } else {
        ended = true
        if (pair.value.length !== 8 || readUint64(pair.value, 0) !== count) throw damaged('has lost pairs')
      }
    }
    rest = bytes.subarray(at)
  }
  if (!ended || rest.length > 0) throw damaged('is cut short')
}

const damaged = (how: string): PlatformError =>
  new PlatformError(ERROR_CODES.dataDamaged, `the snapshot of a meta group ${how}; it has to be taken again`)
