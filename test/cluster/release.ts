// SPDX-License-Identifier: Apache-2.0
// Nodes that pretend to be of another release: this file, given to Node by --import, puts other modules in the place of three that say what a program
// knows. The older release lacks what the newer one has: a command of the metadata, and a version of the protocol between nodes.
import { register } from 'node:module'
import { isMainThread } from 'node:worker_threads'

export type Release = 'older' | 'newer'

const VARIABLE = 'PRETENDED_RELEASE'

/** The environment of a node that pretends. */
export const pretending = (release: Release): Readonly<Record<string, string>> => ({
  NODE_OPTIONS: `--import=${import.meta.url}`,
  [VARIABLE]: release,
})

const programVersion = (version: number): string => `
  export const PROGRAM_VERSION = ${version}
  export const THIS_PROGRAM = { version: ${version}, commandsSince: new Map([[32, 2], [33, 2]]) }`

const protocolUpTo = (max: number): string => `
  export const PROTOCOL = { min: 1, max: ${max} }
  export const highestCommon = (a, b) => {
    const highest = Math.min(a.max, b.max)
    return highest >= Math.max(a.min, b.min) ? highest : undefined
  }`

/** By the end of their names. */
const MODULES: Readonly<Record<Release, Readonly<Record<string, string>>>> = {
  older: {
    '/src/meta/program-version.js': programVersion(1),
    '/src/server/grpc/protocol-version.js': protocolUpTo(1),
    // An entry with a command that is unknown ends the process.
    '/src/meta/machine/member.js': 'export class MemberMachine { commandTypes = [] }',
  },
  newer: {
    '/src/meta/program-version.js': programVersion(2),
    '/src/server/grpc/protocol-version.js': protocolUpTo(2),
  },
}

interface Loaded {
  readonly format: string
  readonly shortCircuit?: boolean
  readonly source?: unknown
}

/** A hook of Node, which calls it in a thread of its own. */
export async function load(url: string, context: object, next: (url: string, context: object) => Promise<Loaded>): Promise<Loaded> {
  const modules = Object.entries(MODULES[process.env[VARIABLE] as Release])
  const source = modules.find(([ending]) => url.endsWith(ending))?.[1]
  return source === undefined ? next(url, context) : { format: 'module', shortCircuit: true, source }
}

if (isMainThread && process.env[VARIABLE] !== undefined) register(import.meta.url)
