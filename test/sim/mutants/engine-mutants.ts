// SPDX-License-Identifier: Apache-2.0
// Planted bugs of the storage engine, hunted by the simulation of the engine by itself.
import type { Mutant } from './mutant.ts'

const LOG = 'src/engine/log'

/** The promises of the log checker, the assertions of the product, and a process that ends itself or cannot start again. */
const CHECKERS = [
  'answers',
  'assertion',
  'content',
  'duplicate',
  'lost',
  'node',
  'order',
  'phantom',
  'positions',
  'read',
  'removal',
  'retained',
  'sequences',
  'tail',
  'time',
]

/** Seeds in which each of them must be found. */
const SEEDS_MAX = 200

type EngineMutant = Pick<Mutant, 'name' | 'rule' | 'file' | 'from' | 'to' | 'seedFirst'>

const PLANTED: readonly EngineMutant[] = [
  {
    name: 'retention-passes-the-retained-watermark',
    rule: 'L28',
    file: `${LOG}/retention.js`,
    from: 'return Math.min(this.#machine.tail.storedEnd, this.#machine.retainedUpTo);',
    to: 'return this.#machine.tail.storedEnd;',
    seedFirst: 80,
  },
  {
    name: 'entries-go-before-the-state-is-durable',
    rule: 'L28 R38',
    file: 'src/raft/group.js',
    from: 'const covered = await this.#machine.persist();',
    to: 'const covered = core.applied;',
    seedFirst: 5,
  },
  {
    name: 'applied-index-is-stored-ahead-of-records',
    rule: 'R8',
    file: `${LOG}/state-writer.js`,
    from: 'await this.#kv.write(operations, { sync: covered.length > 0 });',
    to: 'await this.#kv.write(operations.splice(-1), { sync: true });\n        await this.#kv.write(operations, { sync: covered.length > 0 });',
    seedFirst: 1,
  },
  {
    name: 'records-are-stored-without-an-applied-index',
    rule: 'R8',
    file: `${LOG}/state-writer.js`,
    from: 'operations.push({ key: this.#keys.state, value: this.#encodeState(index, end) });',
    to: 'if (this.#syncWaiters.length > 0)\n            operations.push({ key: this.#keys.state, value: this.#encodeState(index, end) });',
    seedFirst: 2,
  },
  {
    name: 'catch-up-begins-one-record-late',
    rule: 'D6',
    file: `${LOG}/catch-up.js`,
    from: 'return Math.min(Math.max(from, kept), tail.end);',
    to: 'return Math.min(Math.max(from, kept) + 1, tail.end);',
    seedFirst: 2,
  },
  {
    name: 'catch-up-leaves-out-the-last-record-of-a-chunk',
    rule: 'D6',
    file: `${LOG}/stored-log.js`,
    from: 'return chunk !== undefined && chunk.end > position ? chunk : undefined;',
    to: 'return chunk !== undefined && chunk.end > position + 1 ? chunk : undefined;',
    seedFirst: 2,
  },
  {
    name: 'engine-forgets-sequences-with-a-restart',
    rule: 'D14 L31',
    file: `${LOG}/stripe-machine.js`,
    from: 'this.sequences.set(publisher, sequence, position);',
    to: ';',
    seedFirst: 5,
  },
  {
    name: 'duplicate-of-a-record-in-flight-is-appended',
    rule: 'D14 L31',
    file: `${LOG}/stripe.js`,
    from: 'if (known !== undefined)\n                originals.push(known);',
    to: 'if (known !== undefined && known < this.machine.end)\n                originals.push(known);',
    seedFirst: 3,
  },
  {
    name: 'release-is-answered-before-it-is-committed',
    rule: 'D14 L33',
    file: `${LOG}/stripe.js`,
    from: 'const releases = this.#releases;',
    to: 'const releases = this.#releases;\n        for (const release of releases)\n            release.resolve(true);',
    seedFirst: 3,
  },
  {
    name: 'segments-are-acknowledged-before-their-fsync',
    rule: 'Q1 L14',
    file: 'src/raft/log/file/file-log-store.js',
    from: 'await this.#append(frame);\n                if (sync)\n',
    to: "await this.#append(frame);\n                if (sync && this.#directory === 'wal')\n",
    seedFirst: 9,
  },
  {
    name: 'index-of-a-segment-is-trusted-unread',
    rule: 'L27',
    file: 'src/raft/log/file/segment-index.js',
    from: 'if (!isPageSound(bytes.subarray(offset, offset + length), base, offset))\n            return false;',
    to: '',
    seedFirst: 18,
  },
  {
    name: 'chunk-index-is-dropped-and-its-records-are-kept',
    rule: 'L27',
    file: `${LOG}/chunk-builder.js`,
    from: 'operations.push({ key: keys.chunk(base), ',
    to: 'if (topicIds.length < 3)\n            operations.push({ key: keys.chunk(base), ',
    seedFirst: 5,
  },
  {
    name: 'stop-gives-up-retained-values-that-meta-lacks',
    rule: 'Q1 Q14',
    file: `${LOG}/retained-view.js`,
    from: "const outcome = await this.#retain(writes);\n        if (outcome === 'abandoned')\n            return;",
    to: 'const outcome = await this.#retain(writes);',
    seedFirst: 139,
  },
  {
    name: 'removed-topic-leaves-chunks-behind',
    rule: 'R8',
    file: `${LOG}/topic-retention.js`,
    from: 'if (topic.last >= cleared)',
    to: 'if (topic.last >= this.#removal.bound)',
    seedFirst: 3,
  },
  {
    name: 'place-of-a-time-is-after-the-chunk-that-has-it',
    rule: 'D8',
    file: `${LOG}/time-index.js`,
    from: 'chunk.appendTimeMs + CHUNK_SPAN_MS_MAX < timeMs ? chunk.end : chunk.base',
    to: 'chunk.end',
    seedFirst: 1,
  },
  {
    name: 'new-wildcard-interest-does-not-reach-known-topics',
    rule: 'D4',
    file: 'src/engine/interest/interest-table.js',
    from: 'this.#wildcardCount++;\n        this.#answers.clear();',
    to: 'this.#wildcardCount++;',
    seedFirst: 1,
  },
]

export const ENGINE_MUTANTS: readonly Mutant[] = PLANTED.map((planted) => ({
  ...planted,
  hunt: 'engine',
  expected: CHECKERS,
  seedsMax: SEEDS_MAX,
}))
