// SPDX-License-Identifier: Apache-2.0
// Which values there are below $SYS, and their names: those of RobustMQ below $SYS/brokers/NODE, and those of Mosquitto below $SYS/broker, which dashboards know.
import type { Clock, Timer } from '#base/port/clock'
import { VERSION } from '#base/version'
import { LOAD_MINUTES, LoadAverage } from '../metric/load-average.ts'
import type { SlowSubscription } from '../metric/slow-subscriptions.ts'
import type { SystemValue } from './sys-topics.ts'

/** What is counted. Counts of what happened are since the process started. */
export interface SystemFigures {
  connected(): number
  /** Sessions, those of clients that are away included. */
  sessions(): number
  subscriptions(): number
  slowSubscriptions(): readonly SlowSubscription[]
  retained(): number
  messagesReceived(): number
  messagesSent(): number
  messagesDropped(): number
  bytesReceived(): number
  bytesSent(): number
  connections(): number
}

const SAMPLE_MS = 5_000

export class SystemValues {
  readonly #clock: Clock
  readonly #figures: SystemFigures
  readonly #node: number
  readonly #startedMs: number
  readonly #loads: ReadonlyMap<string, LoadAverage>
  #sampledMs: number
  #connectedMax = 0
  #timer: Timer | undefined

  constructor(clock: Clock, node: number, figures: SystemFigures) {
    this.#clock = clock
    this.#figures = figures
    this.#node = node
    this.#startedMs = clock.monotonic()
    this.#sampledMs = this.#startedMs
    this.#loads = new Map([
      ['messages/received', new LoadAverage(figures.messagesReceived)],
      ['messages/sent', new LoadAverage(figures.messagesSent)],
      ['publish/dropped', new LoadAverage(figures.messagesDropped)],
      ['bytes/received', new LoadAverage(figures.bytesReceived)],
      ['bytes/sent', new LoadAverage(figures.bytesSent)],
      ['connections', new LoadAverage(figures.connections)],
    ])
  }

  /** Load averages have to be sampled whether or not anyone looks at them. */
  start(): void {
    this.#timer = this.#clock.after(SAMPLE_MS, this.#sample)
  }

  stop(): void {
    this.#timer?.cancel()
  }

  /** A client has connected: there may be more than ever. */
  noteConnected(): void {
    this.#connectedMax = Math.max(this.#connectedMax, this.#figures.connected())
  }

  list(): readonly SystemValue[] {
    return [...this.#own(), ...this.#asMosquitto()]
  }

  #own(): readonly SystemValue[] {
    const figures = this.#figures
    const named: readonly (readonly [string, () => string | number])[] = [
      ['version', () => VERSION],
      ['uptime', () => this.#uptimeSeconds()],
      ['datetime', () => formatTime(this.#clock.realtime())],
      ...this.#counts(),
      ['clients/maximum', () => Math.max(this.#connectedMax, figures.connected())],
      ['messages/dropped', figures.messagesDropped],
      ['subscriptions/count', figures.subscriptions],
      ['subscriptions/slow', () => JSON.stringify(figures.slowSubscriptions())],
      ['retained/count', figures.retained],
      ...this.#averages(),
    ]
    return named.map(([name, read]) => ({ topic: `$SYS/brokers/${this.#node}/${name}`, read: () => String(read()) }))
  }

  /** Names and formats of mosquitto(8), section "Broker status". */
  #asMosquitto(): readonly SystemValue[] {
    const figures = this.#figures
    const named: readonly (readonly [string, () => string | number])[] = [
      ['version', () => `robustmq version ${VERSION}`],
      ['uptime', () => `${this.#uptimeSeconds()} seconds`],
      ['timestamp', () => formatTime(this.#clock.realtime())],
      ...this.#counts(),
      ['clients/maximum', () => Math.max(this.#connectedMax, figures.connected())],
      ['clients/active', figures.connected],
      ['clients/disconnected', () => figures.sessions() - figures.connected()],
      ['clients/inactive', () => figures.sessions() - figures.connected()],
      ['publish/messages/received', figures.messagesReceived],
      ['publish/messages/sent', figures.messagesSent],
      ['publish/messages/dropped', figures.messagesDropped],
      ['subscriptions/count', figures.subscriptions],
      ['retained messages/count', figures.retained],
      ...this.#averages(),
    ]
    return named.map(([name, read]) => ({ topic: `$SYS/broker/${name}`, read: () => String(read()) }))
  }

  #counts(): readonly (readonly [string, () => number])[] {
    const figures = this.#figures
    return [
      ['clients/connected', figures.connected],
      ['clients/total', figures.sessions],
      ['messages/received', figures.messagesReceived],
      ['messages/sent', figures.messagesSent],
      ['bytes/received', figures.bytesReceived],
      ['bytes/sent', figures.bytesSent],
    ]
  }

  #averages(): readonly (readonly [string, () => string])[] {
    return [...this.#loads].flatMap(([name, load]) =>
      LOAD_MINUTES.map((minutes, at) => [`load/${name}/${minutes}min`, () => load.perMinute(at).toFixed(2)] as const),
    )
  }

  #uptimeSeconds(): number {
    return Math.floor((this.#clock.monotonic() - this.#startedMs) / 1000)
  }

  readonly #sample = (): void => {
    const nowMs = this.#clock.monotonic()
    for (const load of this.#loads.values()) load.sample(nowMs - this.#sampledMs)
    this.#sampledMs = nowMs
    this.start()
  }
}

const DAY_SECONDS = 86_400

/** RFC 3339 in UTC, to the second, of milliseconds since 1970. Years 1970 to 9999. */
export function formatTime(timeMs: number): string {
  const seconds = Math.floor(timeMs / 1000)
  const [year, month, day] = civilDate(Math.floor(seconds / DAY_SECONDS))
  const second = seconds % DAY_SECONDS
  const two = (value: number): string => String(value).padStart(2, '0')
  const time = [Math.floor(second / 3600), Math.floor(second / 60) % 60, second % 60].map(two).join(':')
  return `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}T${time}Z`
}

/** Year, month and day of a count of days since 1970-01-01. Counts years from 1 March, so that the leap day is the last day of one; 146 097 days are 400 years. */
function civilDate(days: number): readonly [year: number, month: number, day: number] {
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  return [yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1]
}
