// SPDX-License-Identifier: Apache-2.0
// The name by which a client subscribes: a filter, or one with a prefix that says how the messages are to be had.
//
//   name := filter | '$share/' group '/' filter | '$exclusive/' filter

import { isShared, parseShared } from './share-filter.ts'

const EXCLUSIVE_PREFIX = '$exclusive/'

export interface FilterName {
  /** Empty, or up to and with the slash before the filter. */
  readonly prefix: string
  readonly filter: string
  /** One session at a time has the filter in this way. */
  readonly exclusive: boolean
}

export function parseFilterName(name: string): FilterName {
  // Nearly all: nothing is searched for.
  if (!name.startsWith('$')) return { prefix: '', filter: name, exclusive: false }
  const exclusive = name.startsWith(EXCLUSIVE_PREFIX)
  const filter = exclusive ? name.slice(EXCLUSIVE_PREFIX.length) : (parseShared(name)?.filter ?? name)
  return { prefix: name.slice(0, name.length - filter.length), filter, exclusive }
}

/** Whether a filter begins like a name with a prefix. */
export const hasPrefix = (filter: string): boolean => isShared(filter) || filter.startsWith(EXCLUSIVE_PREFIX)
