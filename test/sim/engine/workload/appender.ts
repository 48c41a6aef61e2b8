// SPDX-License-Identifier: Apache-2.0
// Appends batches for an actor, and notes what became of their records: answered once, never within the call, and always before an orderly stop has ended.
import type { AppendOutcome } from '#contract/client/engine-client'
import { RecordBatchBuilder } from '#contract/record/record-batch'
import type { LogChecker } from '../checker/log-checker.ts'
import type { EngineNode, EngineProcess } from '../engine-node.ts'
import { encodeRecords, type SentRecord } from '../sent-record.ts'

interface Append {
  readonly process: EngineProcess
  readonly log: LogChecker
  readonly records: readonly SentRecord[]
  /** The answer tells where each record is: none of them can have been there before, or there is only one. */
  readonly exact: boolean
  state: 'calling' | 'open' | 'answered' | 'lost'
}

export class Appender {
  readonly #node: EngineNode
  readonly #builder = new RecordBatchBuilder()
  #open: Append[] = []
  #answered = 0

  constructor(node: EngineNode) {
    this.#node = node
  }

  get open(): number {
    return this.#open.length
  }

  /** Answers so far. */
  get answered(): number {
    return this.#answered
  }

  append(process: EngineProcess, log: LogChecker, records: readonly SentRecord[]): void {
    for (const record of records) {
      record.attempts++
      record.open++
    }
    const exact = records.length === 1 || records.every(({ attempts }) => attempts === 1)
    const append: Append = { process, log, records, exact, state: 'calling' }
    this.#open.push(append)
    process.engine.append(log.log, encodeRecords(this.#builder, records), (outcome) => this.#end(append, outcome))
    if (append.state === 'calling') append.state = 'open'
  }

  /** What dead processes were asked has no answer any more. */
  giveUpLost(): void {
    const lost = this.#open.filter(({ process }) => !this.#node.isAlive(process))
    if (lost.length === 0) return
    this.#open = this.#open.filter((append) => !lost.includes(append))
    for (const append of lost) {
      append.state = 'lost'
      if (this.#node.hasStopped(append.process)) append.log.fail('answers', `an orderly stop left ${append.records[0]} without an answer`)
      for (const record of append.records) {
        record.open--
        record.doubtful = true
      }
    }
  }

  #end(append: Append, outcome: AppendOutcome): void {
    const { log, records, state, process, exact } = append
    if (!this.#node.isAlive(process)) return
    if (state !== 'open') log.fail('answers', `${records[0]} was answered ${state === 'calling' ? 'within the call' : 'twice'}`)
    append.state = 'answered'
    this.#answered++
    this.#open = this.#open.filter((other) => other !== append)
    records.forEach((record, at) => {
      record.open--
      if (outcome.kind === 'appended') log.acknowledge(record, exact ? outcome.basePosition + at : undefined)
      else if (outcome.kind === 'unknown') record.doubtful = true
    })
  }
}
