// SPDX-License-Identifier: Apache-2.0
// Builds the configuration from its layers: defaults, file, environment, command line. The later layer wins; mistakes of every layer are told, all at once.
import { checkRelations } from './check.ts'
import type { Section } from './key.ts'
import { nearest } from './nearest.ts'
import { type ConfigProblem, type Source, showValue } from './problem.ts'
import { type Config, type KeyPlace, keysOf, SCHEMA, snakeCase } from './schema.ts'
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

export type LoadOutcome =
  | { readonly kind: 'loaded'; readonly config: Config; readonly settings: ReadonlyMap<string, Setting> }
  | { readonly kind: 'refused'; readonly problems: readonly ConfigProblem[] }

export function loadConfig(layers: ConfigLayers): LoadOutcome {
  const loader = new Loader()
  if (layers.file !== undefined) loader.readFile(layers.file)
  loader.readEnvironment(layers.environment ?? {})
  loader.readArguments(layers.settings ?? [])
  return loader.finish()
}

const ENVIRONMENT_PREFIX = 'ROBUSTMQ_'

/** Kubernetes sets these for a service of the name 'robustmq'. They are nobody's configuration. */
const SERVICE_LINK = /^ROBUSTMQ_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)$/

/** 'mqtt.max_qos' is ROBUSTMQ_MQTT__MAX_QOS. */
export const environmentName = (path: string): string => ENVIRONMENT_PREFIX + path.toUpperCase().replaceAll('.', '__')

const KEYS: readonly KeyPlace[] = keysOf(SCHEMA)
const PLACES: ReadonlyMap<string, KeyPlace> = new Map(KEYS.map((place) => [place.path, place]))
const PATHS: readonly string[] = KEYS.map((place) => place.path)
const DEFAULT: Source = { kind: 'default' }

class Loader {
  readonly #settings = new Map<string, Setting>(KEYS.map(({ path, key }) => [path, { value: key.default, source: DEFAULT }]))
  readonly #problems: ConfigProblem[] = []

  readFile(file: ConfigFile): void {
    const lines = tomlLines(file.text)
    const visit = (section: Section, table: Readonly<Record<string, unknown>>, above: string, lineAbove: number | undefined): void => {
      const entries = new Map(Object.entries(section.entries).map(([name, entry]) => [snakeCase(name), entry]))
      for (const [name, value] of Object.entries(table)) {
        const path = above + name
        const line = lines.get(path) ?? lineAbove
        const source: Source = { kind: 'file', file: file.name, line }
        const entry = entries.get(name)
        if (entry === undefined) this.#refuseUnknown(path, value, source)
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
    if (this.#problems.length > 0) return { kind: 'refused', problems: this.#problems }
    const config = this.#build()
    const isSet = (path: string): boolean => this.#settings.get(path)?.source.kind !== 'default'
    for (const { path, expected } of checkRelations(config, isSet)) {
      const { value, source } = this.#settings.get(path) ?? { value: undefined, source: DEFAULT }
      this.#problems.push({ path, value: PLACES.get(path)?.key.format(value) ?? '', expected, nearest: undefined, source })
    }
    if (this.#problems.length > 0) return { kind: 'refused', problems: this.#problems }
    return { kind: 'loaded', config, settings: this.#settings }
  }

  /** Its shape is that of the schema, key by key: that is what Config says. */
  #build(): Config {
    const build = (section: Section, above: string): Readonly<Record<string, unknown>> =>
      Object.freeze(
        Object.fromEntries(
          Object.entries(section.entries).map(([name, entry]) => {
            const path = above + snakeCase(name)
            return [name, 'entries' in entry ? build(entry, `${path}.`) : this.#settings.get(path)?.value]
          }),
        ),
      )
    return build(SCHEMA, '') as Config
  }

  #setText(path: string, text: string, source: Source): void {
    this.#set(path, PLACES.get(path)?.key.parseText(text), text, source)
  }

  #set(path: string, value: unknown, written: unknown, source: Source): void {
    if (value === undefined) this.#refuse(path, written, PLACES.get(path)?.key.expected, source)
    else this.#settings.set(path, { value, source })
  }

  #refuse(path: string, value: unknown, expected: string | undefined, source: Source): void {
    this.#problems.push({ path, value: showValue(value), expected, nearest: undefined, source })
  }

  #refuseUnknown(path: string, value: unknown, source: Source): void {
    const meant = nearest(path, PATHS)
    const shown = source.kind === 'environment' && meant !== undefined ? environmentName(meant) : meant
    this.#problems.push({ path, value: showValue(value), expected: undefined, nearest: shown, source })
  }
}

const pathOf = (variable: string): string => variable.slice(ENVIRONMENT_PREFIX.length).toLowerCase().replaceAll('__', '.')

const isTable = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
