// SPDX-License-Identifier: Apache-2.0
// Durations as people write them: a whole number and a unit, '10s'.

const UNITS_MS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const

/** Milliseconds; undefined when the text is no duration. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,15})(ms|s|m|h|d)$/.exec(text)
  const unit = UNITS_MS.find(([name]) => name === match?.[2])
  if (match === null || unit === undefined) return undefined
  const durationMs = Number(match[1]) * unit[1]
  return Number.isSafeInteger(durationMs) ? durationMs : undefined
}

/** The shortest way to write it: in the largest unit of which it is a whole multiple. */
export function formatDuration(durationMs: number): string {
  const [name, unitMs] = UNITS_MS.find(([, size]) => durationMs >= size && durationMs % size === 0) ?? (['ms', 1] as const)
  return `${durationMs / unitMs}${name}`
}
