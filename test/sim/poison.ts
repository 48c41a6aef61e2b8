// SPDX-License-Identifier: Apache-2.0
// Makes every source of nondeterminism throw while a world runs (T3). What code under simulation needs of them, it gets from ports.
import childProcess from 'node:child_process'
import crypto from 'node:crypto'
import dns from 'node:dns'
import http from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import timers from 'node:timers'

/** A source that was touched. It names the source; the stack names the caller. */
export class NondeterminismError extends Error {
  override readonly name = 'NondeterminismError'
}

type Slots = Record<string, unknown>

const NAMES: readonly (readonly [label: string, owner: object, names: readonly string[]])[] = [
  ['', globalThis, ['setTimeout', 'setInterval', 'setImmediate', 'fetch', 'WeakRef', 'FinalizationRegistry']],
  ['Math.', Math, ['random']],
  ['performance.', performance, ['now']],
  ['process.', process, ['hrtime', 'uptime', 'memoryUsage', 'cpuUsage']],
  ['String.prototype.', String.prototype, ['localeCompare', 'toLocaleLowerCase', 'toLocaleUpperCase']],
  ['Number.prototype.', Number.prototype, ['toLocaleString']],
  ['timers.', timers, ['setTimeout', 'setInterval', 'setImmediate']],
  ['crypto.', crypto, ['randomBytes', 'randomFill', 'randomFillSync', 'randomInt', 'randomUUID', 'scrypt']],
  ['crypto.', Object.getPrototypeOf(crypto.webcrypto) as object, ['getRandomValues', 'randomUUID']],
  ['net.', net, ['connect', 'createConnection', 'createServer']],
  ['http.', http, ['request', 'createServer']],
  ['dns.', dns, ['lookup']],
  ['child_process.', childProcess, ['spawn', 'exec', 'fork']],
]

export class Poison {
  readonly #undo: (() => void)[] = []

  install(): void {
    for (const [label, owner, names] of NAMES) for (const name of names) this.#replace(owner as Slots, name, forbid(label + name))
    this.#replace(globalThis as unknown as Slots, 'Date', poisonedDate())
    syncBuiltinESMExports()
  }

  remove(): void {
    for (const undo of this.#undo.reverse()) undo()
    this.#undo.length = 0
    syncBuiltinESMExports()
  }

  #replace(owner: Slots, name: string, value: unknown): void {
    const before = Object.getOwnPropertyDescriptor(owner, name)
    Object.defineProperty(owner, name, { value, configurable: true, writable: true, enumerable: before?.enumerable ?? false })
    this.#undo.push(() => {
      if (before === undefined) delete owner[name]
      else Object.defineProperty(owner, name, before)
    })
  }
}

function forbid(name: string): () => never {
  return function forbidden(): never {
    throw new NondeterminismError(`${name} was used under simulation: use the port`)
  }
}

/** Dates of a given instant are pure; the present is not. */
function poisonedDate(): DateConstructor {
  const handler: ProxyHandler<DateConstructor> = {
    construct(target, parameters: readonly unknown[]) {
      if (parameters.length === 0) throw new NondeterminismError('new Date() was used under simulation: use the port')
      return Reflect.construct(target, parameters) as Date
    },
    apply: forbid('Date()'),
    get: (target, name, receiver) => (name === 'now' ? forbid('Date.now') : (Reflect.get(target, name, receiver) as unknown)),
  }
  return new Proxy(Date, handler)
}
