// SPDX-License-Identifier: Apache-2.0
// The name of a shared subscription, taken apart once (MQTT 5 section 4.8.2).
//
//   name := '$share/' group '/' filter          group: at least one character, none of '/' '+' '#' [MQTT-4.8.2-1] [MQTT-4.8.2-2]
import { hasWildcard, isValidFilter } from '#base/topic-filter'

export interface SharedFilter {
  /** As subscribed to. Equal names are one group: filters that differ are groups of their own. */
  readonly name: string
  readonly group: string
  /** What its messages must match. */
  readonly filter: string
}

const PREFIX = '$share/'

export const isShared = (filter: string): boolean => filter.startsWith(PREFIX)

/** Undefined when the name is not well-formed. */
export function parseShared(name: string): SharedFilter | undefined {
  if (!isShared(name)) return undefined
  const end = name.indexOf('/', PREFIX.length)
  if (end <= PREFIX.length) return undefined
  const group = name.slice(PREFIX.length, end)
  const filter = name.slice(end + 1)
  if (hasWildcard(group) || !isValidFilter(filter) || isShared(filter)) return undefined
  return { name, group, filter }
}
