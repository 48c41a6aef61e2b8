// SPDX-License-Identifier: Apache-2.0
// Lets one set-up at a time change a working tree: three nodes started at once from a fresh clone install it once.
import { closeSync, existsSync, openSync, rmSync, statSync, utimesSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const HEARTBEAT_MS = 2_000
/** A holder that has not touched its lock for this long is dead. Process ids would not tell: containers reuse them. */
const ABANDONED_MS = 20_000
const POLL_MS = 500
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']
const EXIT_INTERRUPTED = 130

/** Runs `work` while holding the lock of the tree at `root`. */
export async function withLock(root, say, work) {
  const file = path.join(root, '.set-up.lock')
  if (!tryLock(file)) {
    say('set-up: another set-up is at work in this directory; waiting for it')
    while (!tryLock(file)) {
      if (isAbandoned(file)) rmSync(file, { force: true })
      else await delay(POLL_MS)
    }
  }
  const heartbeat = setInterval(() => touch(file), HEARTBEAT_MS)
  const release = () => rmSync(file, { force: true })
  const interrupt = () => process.exit(EXIT_INTERRUPTED)
  process.on('exit', release)
  for (const signal of SIGNALS) process.on(signal, interrupt)
  try {
    await work()
  } finally {
    clearInterval(heartbeat)
    for (const signal of SIGNALS) process.off(signal, interrupt)
    process.off('exit', release)
    release()
  }
}

function tryLock(file) {
  try {
    closeSync(openSync(file, 'wx'))
    return true
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  }
}

function isAbandoned(file) {
  const status = statSync(file, { throwIfNoEntry: false })
  return status !== undefined && Date.now() - status.mtimeMs > ABANDONED_MS
}

/** A lock that was taken away meanwhile (this process was suspended for long) is not made again: its new holder owns it. */
function touch(file) {
  const now = new Date()
  if (existsSync(file)) utimesSync(file, now, now)
}
