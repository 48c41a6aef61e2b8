// SPDX-License-Identifier: Apache-2.0
// Builds the configuration from its layers: defaults, file, environment, command line. The later layer wins; mistakes of every layer are told, all at once.
import { checkRelations } from './check.ts'
import { HIDDEN, type Section, type Tables } from './key.ts'
import { nearest } from './nearest.ts'
import { type ConfigProblem, type Source, showValue } from './problem.ts'
import { isTable, readTables, type SourceOf } from './read-tables.ts'
import { buildConfig, type Config, type KeyPlace, keysOf, SCHEMA, snakeCase, tablesOf } from './schema.ts'
import { tomlLines } from './toml-lines.ts'

export interface ConfigFile {
  /** As the user named it. */
  readonly name: string
  readonly text: string
  /** What a TOML parser makes of the text. */
  readonly table: Readonly<Record<string, unknown>>
}

export interface ConfigLayers {
  readonly file?: ConfigFile | undefined
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** 'section.key=value', in the order of the command line. */
  readonly settings?: readonly string[]
}

export interface Setting {
  readonly value: unknown
  readonly source: Source
}

/** By path: each key, each list of tables, and the tables of a list with the values in them. */
export type Settings = ReadonlyMap<string, Setting>

export interface LoadedConfig {
  readonly config: Config
  readonly settings: Settings
}

export type LoadOutcome =
  | ({ readonly kind: 'loaded' } & LoadedConfig)
  | { readonly kind: 'refused'; readonly problems: readonly ConfigProblem[] }

export function loadConfig(layers: ConfigLayers): LoadOutcome {
  const loader = new Loader()
  if (layers.file !== undefined) loader.readFile(layers.file)
  loader.readEnvironment(layers.environment ?? {})
  loader.readArguments(layers.settings ?? [])
  return loader.finish()
}

/** Makes a configuration out of settings that are each acceptable, unless they do not go together. */
export function settle(given: Settings): LoadOutcome {
  const settings = withDerived(given)
  const config = buildConfig((path) => settings.get(path)?.value)
  const isSet = (path: string): boolean => settings.get(path)?.source.kind !== 'default'
  const problems = checkRelations(config, isSet).map(({ path, expected }): ConfigProblem => {
    const { value, source } = settings.get(path) ?? { value: undefined, source: DEFAULT }
    const shown = PLACES.get(path)?.key.format(value) ?? showValue(value)
    return { path, value: shown, expected, nearest: undefined, source }
  })
  return problems.length > 0 ? { kind: 'refused', problems } : { kind: 'loaded', config, settings }
}

/** Defaults that follow from other keys. Where there are users, clients without a name are let in only by a deliberate setting. */
function withDerived(settings: Settings): Settings {
  const anonymous = settings.get('security.allow_anonymous')
  if (anonymous?.source.kind !== 'default') return settings
  const users = settings.get('security.users')?.value as Config['security']['users'] | undefined
  return new Map(settings).set('security.allow_anonymous', { ...anonymous, value: users === undefined || users.length === 0 })
}

const ENVIRONMENT_PREFIX = 'ROBUSTMQ_'

/** Kubernetes sets these for a service of the name 'robustmq'. They are nobody's configuration. */
const SERVICE_LINK = /^ROBUSTMQ_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)$/

/** 'mqtt.max_qos' is ROBUSTMQ_MQTT__MAX_QOS. */
export const environmentName = (path: string): string => ENVIRONMENT_PREFIX + path.toUpperCase().replaceAll('.', '__')

const KEYS: readonly KeyPlace[] = keysOf(SCHEMA)
const PLACES: ReadonlyMap<string, KeyPlace> = new Map(KEYS.map((place) => [place.path, place]))
const PATHS: readonly string[] = KEYS.map((place) => place.path)
const LISTS: readonly string[] = tablesOf(SCHEMA).map((place) => place.path)
const DEFAULT: Source = { kind: 'default' }

class Loader {
  readonly #settings = new Map<string, Setting>([
    ...KEYS.map(({ path, key }): [string, Setting] => [path, { value: key.default, source: DEFAULT }]),
    ...LISTS.map((path): [string, Setting] => [path, { value: Object.freeze([]), source: DEFAULT }]),
  ])
  readonly #problems: ConfigProblem[] = []

  readFile(file: ConfigFile): void {
    const lines = tomlLines(file.text)
    const visit = (section: Section, table: Readonly<Record<string, unknown>>, above: string, lineAbove: number | undefined): void => {
      const entries = new Map(Object.entries(section.entries).map(([name, entry]) => [snakeCase(name), entry]))
      for (const [name, value] of Object.entries(table)) {
        const path = above + name
        const line = lines.get(path) ?? lineAbove
        const source = { kind: 'file', file: file.name, line } as const
        const entry = entries.get(name)
        const sourceOf: SourceOf = (...paths) => ({
          ...source,
          line: paths.map((at) => lines.get(at)).find((at) => at !== undefined) ?? line,
        })
        if (entry === undefined) this.#refuseUnknown(path, value, source)
        else if ('columns' in entry) this.#setTables(path, entry, value, sourceOf)
        else if (!('entries' in entry)) this.#set(path, entry.parse(value), value, source)
        else if (isTable(value)) visit(entry, value, `${path}.`, line)
        else this.#refuse(path, value, `a section, [${path}]`, source)
      }
    }
    visit(SCHEMA, file.table, '', undefined)
  }

  readEnvironment(environment: Readonly<Record<string, string | undefined>>): void {
    const paths = new Map(PATHS.map((path) => [environmentName(path), path]))
    for (const variable of Object.keys(environment).sort()) {
      const text = environment[variable]
      if (text === undefined || !variable.startsWith(ENVIRONMENT_PREFIX)) continue
      const path = paths.get(variable)
      const source: Source = { kind: 'environment', variable }
      if (path !== undefined) this.#setText(path, text, source)
      else if (!SERVICE_LINK.test(variable)) this.#refuseUnknown(pathOf(variable), text, source)
    }
  }

  readArguments(settings: readonly string[]): void {
    const source: Source = { kind: 'argument' }
    for (const setting of settings) {
      const equals = setting.indexOf('=')
      const path = equals === -1 ? setting : setting.slice(0, equals).trim()
      const text = setting.slice(equals + 1).trim()
      if (equals === -1) this.#refuse(path, '', 'section.key=value', source)
      else if (PLACES.has(path)) this.#setText(path, text, source)
      else this.#refuseUnknown(path, text, source)
    }
  }

  finish(): LoadOutcome {
    return this.#problems.length > 0 ? { kind: 'refused', problems: this.#problems } : settle(this.#settings)
  }

  #setTables(path: string, tables: Tables, value: unknown, sourceOf: SourceOf): void {
    const { rows, cells, problems } = readTables(path, tables, value, sourceOf)
    this.#problems.push(...problems)
    this.#settings.set(path, { value: rows, source: sourceOf(path) })
    for (const cell of cells) this.#settings.set(cell.path, cell)
  }

  #setText(path: string, text: string, source: Source): void {
    this.#set(path, PLACES.get(path)?.key.parseText(text), text, source)
  }

  #set(path: string, value: unknown, written: unknown, source: Source): void {
    const key = PLACES.get(path)?.key
    if (value === undefined && key?.secret === true)
      this.#problems.push({ path, value: HIDDEN, expected: key.expected, nearest: undefined, source })
    else if (value === undefined) this.#refuse(path, written, key?.expected, source)
    else this.#settings.set(path, { value, source })
  }

  #refuse(path: string, value: unknown, expected: string | undefined, source: Source): void {
    this.#problems.push({ path, value: showValue(value), expected, nearest: undefined, source })
  }

  #refuseUnknown(path: string, value: unknown, source: Source): void {
    const list = LISTS.find((known) => path === known || path.startsWith(`${known}.`) || path.startsWith(`${known}[`))
    if (list !== undefined) {
      this.#refuse(path, value, `[[${list}]] in the file: neither the environment nor --set can give lists of tables`, source)
      return
    }
    const meant = nearest(path, source.kind === 'file' ? [...PATHS, ...LISTS] : PATHS)
    const shown = source.kind === 'environment' && meant !== undefined ? environmentName(meant) : meant
    this.#problems.push({ path, value: showValue(value), expected: undefined, nearest: shown, source })
  }
}

const pathOf = (variable: string): string => variable.slice(ENVIRONMENT_PREFIX.length).toLowerCase().replaceAll('__', '.')
