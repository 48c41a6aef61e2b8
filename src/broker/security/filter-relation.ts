// SPDX-License-Identifier: Apache-2.0
// How the topics of two filters relate: whether one has all of the other's, and whether they have any in common.
//
// A topic has at least one level, and one that begins with '$' is never matched by a leading wildcard [MQTT-4.7.2-1].

/** A filter, level by level. In this form, what stands before '#' is always a topic by itself. */
export type FilterLevels = readonly string[]

export function filterLevels(filter: string): FilterLevels {
  // There is no topic without a level, nor an empty one: these name the same topics.
  if (filter === '#') return ['+', '#']
  if (filter === '/#') return ['', '+', '#']
  return filter.split('/')
}

/** Whether every topic that matches `inner` matches `outer`. */
export function covers(outer: FilterLevels, inner: FilterLevels): boolean {
  for (let at = 0; ; at++) {
    const level = outer[at]
    const other = inner[at]
    // '#' includes the level above it (MQTT 5 section 4.7.1.2).
    if (level === '#') return true
    if (level === undefined || other === undefined) return level === other
    if (level === '+' ? other === '#' || (at === 0 && other.startsWith('$')) : level !== other) return false
  }
}

/** Whether some topic matches both. */
export function overlaps(a: FilterLevels, b: FilterLevels): boolean {
  for (let at = 0; ; at++) {
    const level = a[at]
    const other = b[at]
    if (level === '#' || other === '#') return true
    if (level === undefined || other === undefined) return level === other
    if (level === '+' || other === '+') {
      if (at === 0 && (level.startsWith('$') || other.startsWith('$'))) return false
    } else if (level !== other) return false
  }
}
