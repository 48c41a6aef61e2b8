// SPDX-License-Identifier: Apache-2.0
// What a failed run is called, and how it is told so that it can be repeated; the same for every kind of simulation.
import { inspect } from 'node:util'
import type { World } from './world.ts'

/** A run that can be looked at afterwards. */
export interface TellingRun {
  readonly world: World
  readonly log: { tail(): readonly string[] }
  readonly configuration: unknown
  run(): Promise<unknown>
}

export interface FailureStory {
  /** The same run, about to be done again with recording on. */
  readonly again: TellingRun
  /** 'cluster 7'. */
  readonly name: string
  /** Options of the command that repeats it. */
  readonly repeat: string
  /** Lines of trace and of log. */
  readonly tailLines: number
  /** What two failures must have in common to be the same. */
  readonly sameBy: (failure: unknown) => string | undefined
}

/** What the run failed with; undefined when it passed. */
export const failureOf = (run: Pick<TellingRun, 'run'>): Promise<unknown> =>
  run.run().then(
    () => undefined,
    (failure: unknown) => failure,
  )

/** Runs it again, now with its trace, and writes that: the same happens again, or the system is not deterministic. */
export async function explain(error: unknown, { again, name, repeat, tailLines, sameBy }: FailureStory): Promise<void> {
  const second = await failureOf(again)
  const lines = [
    ...again.world.trace.tail().slice(-tailLines),
    '--- log',
    ...again.log.tail().slice(-tailLines),
    '--- configuration',
    inspect(again.configuration, { depth: null }),
    `--- ${name} failed after ${again.world.nowMs.toFixed(3)} virtual ms`,
    inspect(second ?? error),
    `repeat: node dist/test/sim/main.js ${repeat}`,
  ]
  if (sameBy(second) !== sameBy(error)) lines.push(`NOT DETERMINISTIC: the first run gave ${inspect(error)}`)
  process.stderr.write(`${lines.join('\n')}\n`)
}

/** Which checker found it: 'assertion' is one of the program itself. Else the beginning of the message. */
export function kindOf(failure: unknown): string | undefined {
  if (failure === undefined) return undefined
  for (let cause: unknown = failure; cause instanceof Error; cause = cause.cause) {
    if ('checker' in cause) return String(cause.checker)
    if (cause.name === 'AssertionError') return `assertion: ${oneLine(cause.message)}`
  }
  return oneLine(messageOf(failure))
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const oneLine = (text: string): string => text.replace(/\d+/g, 'n').replace(/\s+/g, ' ').slice(0, 60)
