// SPDX-License-Identifier: Apache-2.0
// What somebody who mistyped a name most likely meant.

/** Above it a path is not worth comparing: whoever wrote it did not mistype. */
const LENGTH_MAX = 100

/** The known path nearest to `path`: by spelling, or one that ends in the same name in another section. Undefined when none is near. */
export function nearest(path: string, known: readonly string[]): string | undefined {
  if (path.length > LENGTH_MAX) return undefined
  let best: string | undefined
  let bestDistance = Number.POSITIVE_INFINITY
  for (const candidate of known) {
    const distance = mistakes(path, candidate)
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** Mistakes between the two; Infinity when they are so many that the one was not meant to be the other. */
function mistakes(path: string, candidate: string): number {
  const whole = editDistance(path, candidate)
  if (whole <= Math.max(2, path.length / 4)) return whole
  const name = lastName(path)
  const inName = editDistance(name, lastName(candidate))
  // Being in the wrong section counts as one mistake.
  return inName <= name.length / 4 ? inName + 1 : Number.POSITIVE_INFINITY
}

const lastName = (path: string): string => path.slice(path.lastIndexOf('.') + 1)

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
export function editDistance(one: string, other: string): number {
  let beforePrevious: number[] = []
  let previous = Array.from({ length: other.length + 1 }, (_, count) => count)
  for (let i = 1; i <= one.length; i++) {
    const current = [i]
    for (let j = 1; j <= other.length; j++) {
      const replaced = at(previous, j - 1) + (one[i - 1] === other[j - 1] ? 0 : 1)
      let distance = Math.min(at(previous, j) + 1, at(current, j - 1) + 1, replaced)
      const swapped = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]
      if (swapped) distance = Math.min(distance, at(beforePrevious, j - 2) + 1)
      current.push(distance)
    }
    beforePrevious = previous
    previous = current
  }
  return at(previous, other.length)
}

const at = (row: readonly number[], index: number): number => row[index] ?? Number.POSITIVE_INFINITY
