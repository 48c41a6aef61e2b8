// SPDX-License-Identifier: Apache-2.0
// Damages data directories, from a seed: bits that flip, files that end early, files that are gone.
import {
  closeSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { basename, join } from 'node:path'

export type FileKind =
  | 'log'
  | 'log end'
  | 'clean mark'
  | 'segment'
  | 'segment end'
  | 'segment index'
  | 'table'
  | 'store log'
  | 'manifest'
  | 'current'
export type DamageKind = 'flip' | 'truncate' | 'delete'

export interface Damage {
  readonly kind: DamageKind
  /** Path below the data directory. */
  readonly file: string
  /** Byte of the flipped bit, or new size. */
  readonly at: number
}

/** Uniform numbers from a seed (mulberry32). */
export class SeededRandom {
  #state: number

  constructor(seed: number) {
    this.#state = seed
  }

  /** An integer from 0 to `limit` - 1. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit)
  }
}

/** The files whose damage can matter, by kind, in a fixed order. */
export function filesByKind(directory: string): ReadonlyMap<FileKind, readonly string[]> {
  const byKind = new Map<FileKind, string[]>()
  const logs = readdirSync(join(directory, 'wal')).filter((name) => name.endsWith('.log'))
  const last = logs.sort().at(-1)
  for (const name of readdirSync(join(directory, 'wal')).sort())
    add('wal', name, name === last ? 'log end' : name === 'clean' ? 'clean mark' : 'log')
  const segments = readdirSync(join(directory, 'segments')).sort()
  const lastSegment = segments.filter((name) => name.endsWith('.log')).at(-1)
  for (const name of segments)
    add('segments', name, name === lastSegment ? 'segment end' : name.endsWith('.log') ? 'segment' : 'segment index')
  for (const name of readdirSync(join(directory, 'kv')).sort()) add('kv', name, storeKind(name))
  return byKind

  function add(folder: string, name: string, kind: FileKind | undefined): void {
    const path = join(folder, name)
    if (kind === undefined || statSync(join(directory, path)).size === 0) return
    const files = byKind.get(kind) ?? []
    byKind.set(kind, [...files, path])
  }
}

function storeKind(name: string): FileKind | undefined {
  if (name.endsWith('.sst')) return 'table'
  if (/^\d+\.log$/.test(name)) return 'store log'
  if (name.startsWith('MANIFEST')) return 'manifest'
  return name === 'CURRENT' ? 'current' : undefined
}

/** A sample of damages of one kind of file: bits at the beginning, at the end and anywhere, cuts, and the file gone. */
export function sampleDamages(random: SeededRandom, directory: string, files: readonly string[]): readonly Damage[] {
  const pick = (): { readonly file: string; readonly size: number } => {
    const file = files[random.below(files.length)] as string
    return { file, size: statSync(join(directory, file)).size }
  }
  const flip = (where: (size: number) => number): Damage => {
    const { file, size } = pick()
    return { kind: 'flip', file, at: where(size) }
  }
  const truncate = (where: (size: number) => number): Damage => {
    const { file, size } = pick()
    return { kind: 'truncate', file, at: where(size) }
  }
  const anywhere = (size: number): number => random.below(size)
  return [
    flip((size) => random.below(Math.min(size, 64))),
    flip((size) => size - 1 - random.below(Math.min(size, 64))),
    flip(anywhere),
    flip(anywhere),
    truncate((size) => size - 1),
    truncate(anywhere),
    truncate(() => 0),
    { kind: 'delete', file: pick().file, at: 0 },
  ]
}

/** A copy of a data directory. Tables never change once they are written, so they are shared, but for the one that is going to be damaged. */
export function copyData(from: string, to: string, damaged?: string): void {
  mkdirSync(to, { recursive: true })
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (!entry.isDirectory()) {
      copyFileSync(join(from, entry.name), join(to, entry.name))
      continue
    }
    mkdirSync(join(to, entry.name), { recursive: true })
    for (const name of readdirSync(join(from, entry.name))) {
      const path = join(entry.name, name)
      if (name.endsWith('.sst') && path !== damaged) linkSync(join(from, path), join(to, path))
      else copyFileSync(join(from, path), join(to, path))
    }
  }
}

export function inflict(directory: string, { kind, file, at }: Damage, random: SeededRandom): void {
  const path = join(directory, file)
  if (kind === 'delete') unlinkSync(path)
  else if (kind === 'truncate') truncateSync(path, at)
  else {
    const handle = openSync(path, 'r+')
    const byte = Buffer.alloc(1)
    readSync(handle, byte, 0, 1, at)
    byte[0] = (byte[0] as number) ^ (1 << random.below(8))
    writeSync(handle, byte, 0, 1, at)
    closeSync(handle)
  }
}

/** Whether the log ends with a mark, which says that everything before it was synced: 44 bytes that begin with a magic, kind 3 at byte 28. */
export function logIsMarked(directory: string): boolean {
  const logs = readdirSync(join(directory, 'wal')).filter((name) => name.endsWith('.log'))
  const path = join(directory, 'wal', logs.sort().at(-1) as string)
  const tail = Buffer.alloc(44)
  const handle = openSync(path, 'r')
  readSync(handle, tail, 0, 44, statSync(path).size - 44)
  closeSync(handle)
  return tail.toString('latin1', 0, 4) === 'RMQF' && tail[28] === 3
}

export const describeDamage = ({ kind, file, at }: Damage): string => `${kind} ${basename(file)}${kind === 'delete' ? '' : ` at ${at}`}`
