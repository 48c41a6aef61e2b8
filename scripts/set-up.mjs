// SPDX-License-Identifier: Apache-2.0
// Brings a working tree into a state that can run: packages installed, RocksDB loadable on this Node, sources compiled.
// Plain JavaScript on Node built-ins, because it runs before anything is installed. All output goes to stderr.
//
//   node scripts/set-up.mjs [--quiet] [--fresh] [--packages]
//
//   --quiet      prints only problems, and the progress of long work
//   --fresh      installs the packages again, whatever is there
//   --packages   stops before compiling: for a container image, where packages make a layer of their own
import { fileURLToPath } from 'node:url'
import { build, isBuilt } from './set-up/build.mjs'
import { install, isInstalled } from './set-up/install.mjs'
import { withLock } from './set-up/lock.mjs'
import { SetUpProblem } from './set-up/problem.mjs'
import { isRocksdbProven, provideRocksdb } from './set-up/rocksdb.mjs'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const NODE_MINIMUM = [20, 18]
const FLAGS = ['--quiet', '--fresh', '--packages']

async function main(flags) {
  const unknown = flags.find((flag) => !FLAGS.includes(flag))
  if (unknown !== undefined) throw new SetUpProblem(`set-up does not know ${unknown}`, `Its options are ${FLAGS.join(', ')}.`)
  requireNode(process.versions.node)
  const fresh = flags.includes('--fresh')
  const isCompiled = () => flags.includes('--packages') || isBuilt(ROOT)
  if (!fresh && isInstalled(ROOT) && isRocksdbProven(ROOT) && isCompiled()) return

  const say = (line) => process.stderr.write(`${line}\n`)
  const mention = flags.includes('--quiet') ? () => {} : say
  await withLock(ROOT, say, async () => {
    if (fresh || !isInstalled(ROOT)) await install(ROOT, mention)
    if (!isRocksdbProven(ROOT)) await provideRocksdb(ROOT, say)
    if (!isCompiled()) await build(ROOT, mention)
  })
}

function requireNode(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > NODE_MINIMUM[0] || (major === NODE_MINIMUM[0] && minor >= NODE_MINIMUM[1])) return
  throw new SetUpProblem(
    `this is Node.js ${version}, and RobustMQ needs ${NODE_MINIMUM.join('.')} or newer`,
    'Install a supported version from https://nodejs.org and run the command again.',
  )
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof SetUpProblem)) throw error
  process.stderr.write(`\nset-up failed: ${error.message}\n${error.advice}\n`)
  process.exitCode = 1
}
