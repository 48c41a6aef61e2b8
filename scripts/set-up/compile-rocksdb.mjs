// SPDX-License-Identifier: Apache-2.0
// Compiles the RocksDB binding from the sources in its package, with the node-gyp that comes with npm.
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'
import path from 'node:path'
import { findProgram, npmDirectory, run } from './command.mjs'
import { SetUpProblem } from './problem.mjs'

/** Measured with gcc 12 on one slow core; only the first estimate rests on it. */
const SECONDS_PER_FILE = 1.9
/** What one compiler process may need. */
const COMPILER_BYTES = 1024 ** 3
const PROGRESS_MS = 15_000

/** Leaves build/Release/leveldown.node in `directory`, the place of the rocksdb package. */
export async function compileRocksdb(directory, say) {
  const tools = requireTools()
  const gyp = [process.execPath, findNodeGyp()]
  const env = {
    ...process.env,
    // Newer compilers do not include <cstdint> by the way, and this RocksDB counts on it.
    CXXFLAGS: `${process.env.CXXFLAGS ?? ''} -include cstdint`.trim(),
    ...(process.platform === 'linux' ? { LDFLAGS: `${process.env.LDFLAGS ?? ''} -s`.trim() } : {}),
  }
  await step([...gyp, 'configure', ...headerFlags()], { directory, env }, () => {})

  const fileCount = countFiles(path.join(directory, 'build'))
  const jobs = Math.max(1, Math.min(availableParallelism(), Math.floor(totalmem() / COMPILER_BYTES)))
  const minutes = Math.max(1, Math.round((fileCount * SECONDS_PER_FILE) / jobs / 60))
  say(`set-up: building RocksDB from source with ${tools.compiler}, about ${minutes} min; ${fileCount} files`)
  await step([...gyp, 'build', '-j', String(jobs)], { directory, env }, progress(fileCount, say))
  say('set-up: RocksDB is built')
  const output = path.join(directory, 'build/Release')
  for (const name of readdirSync(output).filter((entry) => entry !== 'leveldown.node')) rmSync(path.join(output, name), { recursive: true })
}

async function step(command, { directory, env }, onLine) {
  const result = await run(command, { cwd: directory, env, onLine })
  if (result.code === 0) return
  throw new SetUpProblem(
    `RocksDB could not be built from source\n\n${result.excerpt}\n`,
    [
      'If the Node headers could not be downloaded, install them and name the place: npm_config_nodedir=/usr npm start.',
      'Where no compiler is wanted: use Node 20.18 to 20.20 on Linux x64 (glibc or musl) or macOS, where the ready-made binary works.',
    ].join('\n'),
  )
}

function requireTools() {
  const compiler = [process.env.CXX, 'g++', 'c++', 'clang++'].find((name) => name !== undefined && name !== '' && isProgram(name))
  const python = [process.env.npm_config_python, process.env.PYTHON, 'python3', 'python'].some(
    (name) => name !== undefined && isProgram(name),
  )
  const make = ['make', 'gmake'].some((name) => isProgram(name))
  const missing = [...(python ? [] : ['python3']), ...(make ? [] : ['make']), ...(compiler === undefined ? ['g++'] : [])]
  if (missing.length === 0) return { compiler }
  throw new SetUpProblem(
    `RocksDB has no ready-made binary that works on Node ${process.version} (${process.platform} ${process.arch}); building it needs ${missing.join(', ')}`,
    [
      'Debian, Ubuntu: sudo apt-get install -y python3 make g++',
      'Fedora, RHEL:   sudo dnf install -y python3 make gcc-c++',
      'Alpine:         sudo apk add python3 make g++ linux-headers',
      'macOS:          xcode-select --install',
      'Then run the command again. Node 20.18 to 20.20 on Linux x64 or macOS needs none of this.',
    ].join('\n'),
  )
}

function isProgram(name) {
  return path.isAbsolute(name) ? existsSync(name) : findProgram(name) !== undefined
}

function findNodeGyp() {
  const npm = npmDirectory()
  const candidates = [process.env.npm_config_node_gyp, npm && path.join(npm, 'node_modules/node-gyp/bin/node-gyp.js')]
  const found = candidates.find((file) => file !== undefined && existsSync(file))
  if (found !== undefined) return found
  throw new SetUpProblem(
    'node-gyp, which comes with npm and builds RocksDB, was not found',
    'Start through npm (npm start), or name it: npm_config_node_gyp=/path/to/node-gyp/bin/node-gyp.js',
  )
}

/** The headers beside this Node, when they are installed, spare a download. node-gyp reads npm_config_nodedir by itself. */
function headerFlags() {
  const prefix = path.resolve(path.dirname(process.execPath), '..')
  const present = existsSync(path.join(prefix, 'include/node/node_version.h'))
  return process.env.npm_config_nodedir === undefined && present ? [`--nodedir=${prefix}`] : []
}

/** Object files named in the makefiles that node-gyp has written. */
function countFiles(directory) {
  return readdirSync(directory, { recursive: true })
    .filter((file) => file.endsWith('.target.mk'))
    .reduce((count, file) => count + (readFileSync(path.join(directory, file), 'utf8').match(/^\t.*\.o( \\)?$/gm)?.length ?? 0), 0)
}

/** Reads the lines of make: 'CXX(target) …' is one file begun. */
function progress(fileCount, say) {
  const startMs = performance.now()
  let saidMs = startMs
  let files = 0
  return (line) => {
    if (!/^\s*(CXX|CC)\(target\)/.test(line)) return
    files++
    const nowMs = performance.now()
    if (nowMs - saidMs < PROGRESS_MS) return
    saidMs = nowMs
    const left = Math.ceil((((nowMs - startMs) / files) * Math.max(0, fileCount - files)) / 60_000)
    say(`set-up: building RocksDB: ${files} of about ${fileCount} files, about ${left} min left`)
  }
}
