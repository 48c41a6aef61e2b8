// SPDX-License-Identifier: Apache-2.0
// Keeps clients out that connect again and again: each connection costs commits that others wait for.
import type { Clock } from '#base/port/clock'

export interface FlappingSettings {
  readonly enable: boolean
  /** Connections of one client id in a window that are not yet too many. */
  readonly maxConnects: number
  /** The same for one address; 0 turns it off. */
  readonly maxConnectsPerIp: number
  /** In milliseconds. */
  readonly window: number
  readonly banTime: number
}

interface Count {
  /** On the monotonic clock. */
  windowEndsMs: number
  connects: number
}

/** Client ids and addresses that are counted, and as many that are banned. The first makes room. */
const COUNTS_MAX = 50_000

export class Flapping {
  readonly #clock: Clock
  #settings: FlappingSettings
  /** By 'c' or 'a' and the client id or address, in the order in which their windows began. Those who are banned are not in here. */
  readonly #counts = new Map<string, Count>()
  /** Likewise, in the order in which they were banned. */
  readonly #bans = new Map<string, number>()

  constructor(clock: Clock, settings: FlappingSettings) {
    this.#clock = clock
    this.#settings = settings
  }

  set settings(settings: FlappingSettings) {
    this.#settings = settings
    if (settings.enable) return
    this.#counts.clear()
    this.#bans.clear()
  }

  /** Client ids and addresses that are banned now. */
  get banned(): number {
    this.#expire()
    return this.#bans.size
  }

  get counted(): number {
    return this.#counts.size
  }

  /** Counts a connection. False when it is not to be served: the client is banned, or is so from now on. An empty client id is not counted. */
  admit(clientId: string, address: string): boolean {
    const { enable, maxConnects, maxConnectsPerIp } = this.#settings
    if (!enable) return true
    this.#expire()
    const client = `c${clientId}`
    const source = `a${address}`
    if (this.#isBanned(client) || this.#isBanned(source)) return false
    const isClientOver = clientId !== '' && this.#count(client, maxConnects)
    const isSourceOver = maxConnectsPerIp > 0 && this.#count(source, maxConnectsPerIp)
    return !isClientOver && !isSourceOver
  }

  #isBanned(key: string): boolean {
    const untilMs = this.#bans.get(key)
    return untilMs !== undefined && untilMs > this.#clock.monotonic()
  }

  /** True when it is too often. */
  #count(key: string, connectsMax: number): boolean {
    const nowMs = this.#clock.monotonic()
    const before = this.#counts.get(key)
    if (before === undefined || before.windowEndsMs <= nowMs) {
      this.#counts.delete(key)
      forgetFirst(this.#counts)
      this.#counts.set(key, { windowEndsMs: nowMs + this.#settings.window, connects: 1 })
      return false
    }
    before.connects++
    if (before.connects <= connectsMax) return false
    this.#counts.delete(key)
    forgetFirst(this.#bans)
    this.#bans.set(key, nowMs + this.#settings.banTime)
    return true
  }

  /** Bans end in the order in which they began, but for a change of the settings, which makes some of them longer. */
  #expire(): void {
    const nowMs = this.#clock.monotonic()
    for (const [key, untilMs] of this.#bans) {
      if (untilMs > nowMs) return
      this.#bans.delete(key)
    }
  }
}

function forgetFirst(table: Map<string, unknown>): void {
  if (table.size < COUNTS_MAX) return
  for (const first of table.keys()) {
    table.delete(first)
    return
  }
}
