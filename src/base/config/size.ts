// SPDX-License-Identifier: Apache-2.0
// Sizes as people write them: a whole number and a binary unit, '64MiB'.

const UNITS_BYTES = [
  ['TiB', 1024 ** 4],
  ['GiB', 1024 ** 3],
  ['MiB', 1024 ** 2],
  ['KiB', 1024],
  ['B', 1],
] as const

/** Bytes; undefined when the text is no size. Decimal units are not accepted: '64MB' means different things to different readers. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d{1,15})(B|KiB|MiB|GiB|TiB)?$/.exec(text)
  if (match === null) return undefined
  const unit = UNITS_BYTES.find(([name]) => name === (match[2] ?? 'B'))
  const bytes = Number(match[1]) * (unit?.[1] ?? 1)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** The shortest way to write it: in the largest unit of which it is a whole multiple. */
export function formatSize(bytes: number): string {
  const [name, unitBytes] = UNITS_BYTES.find(([, size]) => bytes >= size && bytes % size === 0) ?? (['B', 1] as const)
  return `${bytes / unitBytes}${name}`
}
