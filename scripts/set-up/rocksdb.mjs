// SPDX-License-Identifier: Apache-2.0
// Makes sure that the RocksDB binding works on this very Node. The binary that comes with the package aborts the process on
// some Node versions, inside the loader where no exception can be caught, so it is tried in a child process; where it does
// not work it is compiled. A compiled binary is kept outside of node_modules, which `npm ci` empties.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { compileRocksdb } from './compile-rocksdb.mjs'
import { SetUpProblem } from './problem.mjs'

const PACKAGE = 'node_modules/rocksdb'
const COMPILED = `${PACKAGE}/build/Release/leveldown.node`
/** The pairs of Node and binary that were tried and work. Inside node_modules, so that it goes when the packages go. */
const STAMP = 'node_modules/.robustmq-rocksdb.json'
const PROBE_TIMEOUT_MS = 60_000

/** Loads the binding and uses it once, in a directory given as argument. */
const PROBE = `
const rocksdb = require('rocksdb')
const store = rocksdb(process.argv[1])
const must = (next) => (error, value) => { if (error) throw error; next(value) }
store.open(must(() => store.put('key', 'value', { sync: true }, must(() => store.get('key', { asBuffer: false }, must((value) => {
  if (value !== 'value') throw new Error('the value read is not the value written')
  store.close(must(() => {}))
}))))))`

export function isRocksdbProven(root) {
  const binary = findBinary(root)
  return binary !== undefined && readProven(root).includes(identify(binary))
}

/** Tries the binary in place, then one compiled earlier, then compiles one. */
export async function provideRocksdb(root, say) {
  const kept = path.join(root, '.native', nativeName(root))
  const compiled = path.join(root, COMPILED)
  let reason = probe(root)
  if (reason !== undefined && existsSync(kept)) {
    mkdirSync(path.dirname(compiled), { recursive: true })
    copyFileSync(kept, compiled)
    reason = probe(root)
  }
  if (reason !== undefined) {
    say(`set-up: no RocksDB binary here works on Node ${process.version} (${reason})`)
    await compileRocksdb(path.join(root, PACKAGE), say)
    reason = probe(root)
    if (reason !== undefined) {
      throw new SetUpProblem(
        `RocksDB was compiled, and still does not work on Node ${process.version}: ${reason}`,
        `Remove ${COMPILED} and run the command again, or use Node 20.18 to 20.20, where the ready-made binary works.`,
      )
    }
    mkdirSync(path.dirname(kept), { recursive: true })
    copyFileSync(compiled, kept)
  }
  const proven = new Set([...readProven(root), identify(findBinary(root))])
  writeFileSync(path.join(root, STAMP), JSON.stringify([...proven]))
}

/** The file the binding would load, found by its own rules but not loaded. */
function findBinary(root) {
  const require = createRequire(path.join(root, PACKAGE, 'package.json'))
  try {
    return require('node-gyp-build').resolve(path.join(root, PACKAGE))
  } catch {
    // The package is absent, or has no binary for this platform. Either way there is none.
    return undefined
  }
}

/** Undefined when the binding works in a process of its own, else the reason in a few words. */
function probe(root) {
  const directory = mkdtempSync(path.join(tmpdir(), 'robustmq-probe-'))
  try {
    const result = spawnSync(process.execPath, ['-e', PROBE, directory], { cwd: root, encoding: 'utf8', timeout: PROBE_TIMEOUT_MS })
    if (result.status === 0) return undefined
    const said = result.stderr.split('\n').find((line) => /error|what\(\)|free\(\)|no native build/i.test(line))
    return said?.trim() ?? result.signal ?? result.error?.message ?? `exit code ${result.status}`
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function identify(binary) {
  return `${process.version} ${createHash('sha256').update(readFileSync(binary)).digest('hex')}`
}

function readProven(root) {
  try {
    return JSON.parse(readFileSync(path.join(root, STAMP), 'utf8'))
  } catch (error) {
    if (error.code === 'ENOENT' || error instanceof SyntaxError) return []
    throw error
  }
}

/** The binding uses only the stable Node-API, so one binary serves all Node versions of a platform. */
function nativeName(root) {
  const { version } = JSON.parse(readFileSync(path.join(root, PACKAGE, 'package.json'), 'utf8'))
  const libc = process.report.getReport().header.glibcVersionRuntime === undefined ? 'other' : 'glibc'
  return `rocksdb-${version}-${process.platform}-${process.arch}-${libc}.node`
}
