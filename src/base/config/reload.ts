// SPDX-License-Identifier: Apache-2.0
// What a node that runs makes of a configuration that is read again: which changes take effect at once, and which have to wait.
import { type LoadedConfig, type LoadOutcome, settle } from './load.ts'
import { keysOf, SCHEMA, tablesOf } from './schema.ts'

export interface ReloadPlan {
  /** What runs from now on: the old configuration with the changes that take effect at once. Refused when these do not go with what stays. */
  readonly outcome: LoadOutcome
  /** Changed keys and lists that take effect at once, in the order of the schema. */
  readonly applied: readonly string[]
  /** Changed keys that take effect with the next start. */
  readonly deferred: readonly string[]
  /** Changed keys that are recorded with the data: the next start is refused while they differ. */
  readonly fixed: readonly string[]
}

/** A key or a list, as far as changes of it matter. */
interface Place {
  readonly path: string
  readonly effect: 'applied' | 'deferred' | 'fixed'
}

const PLACES: readonly Place[] = [
  ...keysOf(SCHEMA).map(({ path, key }): Place => ({ path, effect: key.fixed ? 'fixed' : key.reload ? 'applied' : 'deferred' })),
  ...tablesOf(SCHEMA).map(({ path, tables }): Place => ({ path, effect: tables.reload ? 'applied' : 'deferred' })),
]

export function planReload(running: LoadedConfig, next: LoadedConfig): ReloadPlan {
  const changed = PLACES.filter(({ path }) => shape(running, path) !== shape(next, path))
  const pathsOf = (effect: Place['effect']): readonly string[] => changed.filter((place) => place.effect === effect).map(({ path }) => path)
  const waits = new Set(PLACES.filter(({ effect }) => effect !== 'applied').map(({ path }) => path))
  const settings = new Map([...next.settings].filter(([path]) => !waits.has(listOf(path))))
  for (const [path, setting] of running.settings) if (waits.has(listOf(path))) settings.set(path, setting)
  return { outcome: settle(settings), applied: pathsOf('applied'), deferred: pathsOf('deferred'), fixed: pathsOf('fixed') }
}

/** Equal for equal values. "never" is Infinity, which becomes null; nothing else does. */
const shape = ({ settings }: LoadedConfig, path: string): string | undefined => JSON.stringify(settings.get(path)?.value)

/** The list to which the place of a table, or of a value in one, belongs; any other path itself. */
const listOf = (path: string): string => path.replace(/\[.*$/, '')
