// SPDX-License-Identifier: Apache-2.0
// The architecture as tables: who may import whom, which package may be used where, and where the outside world may be touched.

export interface Layer {
  readonly rank: number
  /** Layers this one may import. Always of lower rank. */
  readonly mayImport: readonly string[]
}

/** A layer is a folder of src, or roles. */
export const LAYERS: Readonly<Record<string, Layer>> = {
  base: { rank: 0, mayImport: [] },
  contract: { rank: 1, mayImport: ['base'] },
  runtime: { rank: 1, mayImport: ['base'] },
  raft: { rank: 2, mayImport: ['base', 'contract'] },
  server: { rank: 2, mayImport: ['base', 'contract'] },
  meta: { rank: 3, mayImport: ['base', 'contract', 'raft'] },
  engine: { rank: 3, mayImport: ['base', 'contract', 'raft'] },
  storage: { rank: 3, mayImport: ['base', 'contract'] },
  broker: { rank: 4, mayImport: ['base', 'contract', 'storage'] },
  connector: { rank: 4, mayImport: ['base', 'contract', 'storage'] },
  cli: { rank: 5, mayImport: ['base', 'contract'] },
  roles: {
    rank: 6,
    mayImport: ['base', 'contract', 'runtime', 'raft', 'server', 'meta', 'engine', 'storage', 'broker', 'connector', 'cli'],
  },
}

/** Imported from other layers file by file (`#base/error`). All others are entered by their index (`#raft`). */
export const LAYERS_ADDRESSED_BY_FILE: readonly string[] = ['base', 'contract']

export interface Part {
  /** Beginning of the paths inside the layer. The longest that fits decides; '' takes what no other does. */
  readonly part: string
  /** Other parts of the layer that it may import, by their exact `part`. '*' is all. Its own files it may always import. */
  readonly mayImport: readonly string[]
}

/** Order inside a layer. A layer that is not here has none. */
export const PARTS: Readonly<Record<string, readonly Part[]>> = {
  raft: [
    { part: 'index.ts', mayImport: ['*'] },
    {
      part: 'host',
      mayImport: ['late-groups', 'lane', 'group', 'peer/', '', 'wire/', 'core/', 'core/message.ts', 'log-store.ts', 'state-machine.ts'],
    },
    { part: 'late-groups', mayImport: ['lane', 'group', '', 'core/message.ts', 'log-store.ts', 'state-machine.ts'] },
    { part: 'lane', mayImport: ['group', '', 'core/message.ts', 'log-store.ts'] },
    { part: 'group', mayImport: ['peer/', '', 'wire/', 'core/', 'core/message.ts', 'log-store.ts', 'state-machine.ts'] },
    { part: 'peer/', mayImport: ['', 'wire/', 'core/', 'core/message.ts', 'log-store.ts', 'state-machine.ts'] },
    { part: '', mayImport: ['core/', 'core/message.ts', 'log-store.ts', 'state-machine.ts'] },
    { part: 'wire/', mayImport: ['core/message.ts'] },
    { part: 'log/', mayImport: ['core/message.ts', 'log-store.ts'] },
    { part: 'log-store.ts', mayImport: ['core/message.ts'] },
    { part: 'state-machine.ts', mayImport: ['core/message.ts'] },
    { part: 'core/', mayImport: ['core/message.ts'] },
    { part: 'core/message.ts', mayImport: [] },
  ],
  meta: [
    { part: 'index.ts', mayImport: ['*'] },
    { part: 'service/', mayImport: ['controller/', 'machine/state-machine.ts', ''] },
    { part: 'controller/', mayImport: ['machine/state-machine.ts', ''] },
    { part: 'machine/', mayImport: ['machine/state-machine.ts', ''] },
    { part: 'machine/state-machine.ts', mayImport: [''] },
    { part: '', mayImport: [] },
  ],
  engine: [
    { part: 'index.ts', mayImport: ['*'] },
    { part: 'service/', mayImport: ['interest/', 'log/', ''] },
    { part: 'interest/', mayImport: ['log/', ''] },
    { part: 'log/', mayImport: [''] },
    { part: '', mayImport: [] },
  ],
  storage: [
    { part: 'index.ts', mayImport: ['*'] },
    { part: '', mayImport: ['shard-store.ts'] },
    { part: 'shard-store.ts', mayImport: [] },
  ],
  broker: [
    { part: 'index.ts', mayImport: ['*'] },
    { part: 'broker.ts', mayImport: ['*'] },
    { part: 'service/', mayImport: ['*'] },
    { part: 'handler/', mayImport: ['message/', 'security/', 'schema/', 'protocol/', 'network/', 'metric/'] },
    { part: 'message/', mayImport: ['metric/'] },
    { part: 'security/', mayImport: ['metric/'] },
    { part: 'schema/', mayImport: ['metric/'] },
    { part: 'protocol/', mayImport: ['metric/'] },
    { part: 'network/', mayImport: ['metric/'] },
    { part: 'metric/', mayImport: [] },
  ],
}

/** Folders whose sub-folders are alternatives: they never import each other, only what their parent folder holds. */
export const FOLDERS_OF_ALTERNATIVES: readonly string[] = [
  'src/raft/log',
  'src/storage',
  'src/broker/handler',
  'src/broker/protocol',
  'src/broker/security',
  'src/broker/schema',
  'src/connector',
]

/** Where a third-party package may be imported in src and roles: beginnings of paths, or '*' and an ending. A new one needs a reason in its layer's README. */
export const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  rocksdb: ['src/runtime/rocksdb-'],
  'level-rocksdb': ['src/runtime/rocksdb-'],
  'smol-toml': ['src/runtime/', 'roles/'],
  'prom-client': ['src/runtime/', 'src/server/'],
  ws: ['src/runtime/', 'src/server/'],
  hono: ['src/server/', '*-admin.ts'],
  '@hono/node-server': ['src/server/', '*-admin.ts'],
  '@grpc/grpc-js': ['src/server/grpc/'],
  'mqtt-packet': ['src/broker/protocol/mqtt/'],
}

/** Where Node's modules and the globals below may be used: everything else runs unchanged in the simulator. */
export const EFFECTS_ALLOWED: readonly string[] = [
  'src/runtime/',
  'src/server/grpc/',
  'roles/main.ts',
  'roles/ports.ts',
  'roles/robustmq.cts',
]

/** Globals that reach outside or differ from run to run, with what stands in for them. */
export const BANNED_GLOBALS: ReadonlyMap<string, string> = new Map([
  ['Date', 'the Clock port'],
  ['performance', 'the Clock port'],
  ['setTimeout', 'Clock.after'],
  ['setInterval', 'Clock.after'],
  ['setImmediate', 'Clock.endOfTurn'],
  ['clearTimeout', 'Timer.cancel'],
  ['clearInterval', 'Timer.cancel'],
  ['clearImmediate', 'Timer.cancel'],
  ['crypto', 'the Random port'],
  ['process', 'a port or an argument'],
  ['console', 'the Logger port'],
  ['fetch', 'a port'],
  ['WebSocket', 'the Network port'],
  ['WeakRef', 'an owner that lets go'],
  ['FinalizationRegistry', 'an owner that lets go'],
  ['Intl', 'comparison by code unit'],
  ['globalThis', 'an argument'],
  ['global', 'an argument'],
])

/** Members banned on whatever object: their result depends on the locale of the machine. */
export const BANNED_MEMBERS: readonly string[] = [
  'localeCompare',
  'toLocaleString',
  'toLocaleDateString',
  'toLocaleTimeString',
  'toLocaleLowerCase',
  'toLocaleUpperCase',
]

/** Files whose reader asks for a default export. */
export const DEFAULT_EXPORT_DEMANDED: readonly string[] = ['scripts/run-tests/reporter.mjs']

/** Words that name no responsibility. A file or folder may not end in one. */
export const EMPTY_NAMES: readonly string[] = ['util', 'helper', 'common', 'misc', 'manager', 'data', 'info', 'handle2']

/** Lines of a file, by the beginning of its path. */
export const FILE_LINES_MAX: readonly (readonly [string, number])[] = [
  ['src/', 500],
  ['roles/', 500],
  ['scripts/', 500],
  ['test/', 700],
]

export const FUNCTION_LINES_MAX = 70
