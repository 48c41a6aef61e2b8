// SPDX-License-Identifier: Apache-2.0
// How often faults and rare places were reached, over many runs.

export type Reached = Map<string, number>

export function addReached(reached: Reached, more: Iterable<readonly [string, number]>): void {
  for (const [name, count] of more) reached.set(name, (reached.get(name) ?? 0) + count)
}

/** A line of the summary, by name; nothing when nothing was reached. */
export function reachedLine(reached: Reached): string {
  const told = [...reached].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, count]) => `${name} ${count}`)
  return told.length === 0 ? '' : `  reached: ${told.join(', ')}\n`
}
