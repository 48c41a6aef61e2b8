// SPDX-License-Identifier: Apache-2.0
// Runs a program and keeps the beginning and the end of what it prints, for the message when it fails.
import { spawn } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'

const HEAD_LINES = 15
const TAIL_LINES = 25

/**
 * Resolves with the exit code (-1 when the program cannot be started or dies of a signal) and an excerpt of what it printed. `onLine` sees every line.
 * A program does not outlive this process.
 * @param {readonly string[]} command program and arguments
 */
export function run(command, { cwd, env = process.env, onLine = () => {} }) {
  return new Promise((resolve) => {
    const head = []
    const tail = []
    let omitted = 0
    const take = (line) => {
      if (head.length < HEAD_LINES) head.push(line)
      else if (tail.push(line) > TAIL_LINES) {
        tail.shift()
        omitted++
      }
      onLine(line)
    }
    const stop = () => child.kill()
    process.on('exit', stop)
    const finish = (code) => {
      process.off('exit', stop)
      resolve({ code, excerpt: [...head, ...(omitted > 0 ? [`... ${omitted} lines ...`] : []), ...tail].join('\n') })
    }
    const child = spawn(command[0], command.slice(1), { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', take)
    child.on('error', (error) => {
      take(error.message)
      finish(-1)
    })
    child.on('close', (code) => finish(code ?? -1))
  })
}

/** Where a program is on the PATH, or undefined. */
export function findProgram(name) {
  const extension = process.platform === 'win32' ? '.exe' : ''
  return (process.env.PATH ?? '')
    .split(path.delimiter)
    .filter((directory) => directory !== '')
    .map((directory) => path.join(directory, name + extension))
    .find((file) => existsSync(file))
}

/** The command that runs npm: the very npm that called us, or the one that came with Node, or the one on the PATH. */
export function npmCommand() {
  const cli = npmDirectory()
  return cli === undefined ? ['npm'] : [process.execPath, path.join(cli, 'bin/npm-cli.js')]
}

/** Where npm itself is installed; undefined when it is only known by its name. */
export function npmDirectory() {
  const caller = process.env.npm_execpath
  const beside = path.dirname(process.execPath)
  const program = findProgram('npm')
  return [
    ...(caller !== undefined && path.basename(caller) === 'npm-cli.js' ? [path.resolve(caller, '../..')] : []),
    path.resolve(beside, '../lib/node_modules/npm'),
    path.resolve(beside, 'node_modules/npm'),
    ...(program === undefined ? [] : [path.resolve(realpathSync(program), '../..')]),
  ].find((directory) => existsSync(path.join(directory, 'bin/npm-cli.js')))
}
