// SPDX-License-Identifier: Apache-2.0
// Topic names and filters of the platform: levels separated by '/', '+' for one level, '#' for the rest (MQTT 5 section 4.7).

/** A filter without wildcards names exactly one topic. */
export const hasWildcard = (filter: string): boolean => filter.includes('+') || filter.includes('#')

/** Whether wildcards stand alone in their level and '#' is last [MQTT-4.7.1-1] [MQTT-4.7.1-2]. Encoding and length are the codec's concern. */
export function isValidFilter(filter: string): boolean {
  if (filter.length === 0) return false
  if (!hasWildcard(filter)) return true
  const levels = filter.split('/')
  return levels.every((level, at) => level === '+' || (level === '#' && at === levels.length - 1) || !hasWildcard(level))
}

/** Whether a topic matches a filter. A leading wildcard never matches a topic that begins with '$' [MQTT-4.7.2-1]. */
export function matches(filter: string, topic: string): boolean {
  if (topic.startsWith('$') && (filter.startsWith('+') || filter.startsWith('#'))) return false
  let f = 0
  let t = 0
  for (;;) {
    const fEnd = levelEnd(filter, f)
    if (fEnd - f === 1 && filter[f] === '#') return true
    if (t > topic.length) return false
    const tEnd = levelEnd(topic, t)
    if (!(fEnd - f === 1 && filter[f] === '+') && filter.slice(f, fEnd) !== topic.slice(t, tEnd)) return false
    f = fEnd + 1
    t = tEnd + 1
    if (f > filter.length) return t > topic.length
  }
}

const levelEnd = (text: string, from: number): number => {
  const at = text.indexOf('/', from)
  return at === -1 ? text.length : at
}

/** The levels before the first wildcard, with the slash after them: what every matching topic begins with, or equals without that slash. */
export function literalPrefix(filter: string): string {
  const levels = filter.split('/')
  const wild = levels.findIndex((level) => level === '+' || level === '#')
  return wild === -1
    ? filter
    : levels
        .slice(0, wild)
        .map((level) => `${level}/`)
        .join('')
}
