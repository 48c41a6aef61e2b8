// SPDX-License-Identifier: Apache-2.0
// A group without Raft: what is proposed is committed at once and applied in order. Keeps its entries so that they can be applied again.
import type { PlatformError } from '#base/error'
import type { ProposalWaiter, Proposer } from '#meta'
import type { Entry, StateMachine } from '#raft'

export class FakeGroup implements Proposer {
  readonly id: number
  readonly entries: Entry[] = []
  /** Proposals fail with it instead of being committed. */
  refusal: PlatformError | undefined
  /** What is proposed is committed, and its proposer is told this instead. */
  answer: PlatformError | undefined
  leads = true
  /** While true, nothing is applied. */
  held = false
  readonly #machine: StateMachine
  readonly #queue: { readonly entry: Entry; readonly waiter: ProposalWaiter }[] = []
  #running: Promise<void> | undefined

  constructor(id: number, machine: StateMachine) {
    this.id = id
    this.#machine = machine
  }

  propose(data: Buffer, waiter: ProposalWaiter): void {
    if (this.refusal !== undefined) {
      waiter.failed(this.refusal)
      return
    }
    const entry = normalEntry(this.entries.length + 1, data)
    this.entries.push(entry)
    this.#queue.push({ entry, waiter })
    this.#pump()
  }

  readIndex(): Promise<void> {
    return this.idle()
  }

  release(): void {
    this.held = false
    this.#pump()
  }

  /** Resolves when all that was proposed is applied. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  #pump(): void {
    if (this.held) return
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0)
      const replies = await this.#machine.apply(batch.map(({ entry }) => entry))
      for (const [at, { entry, waiter }] of batch.entries()) {
        if (this.answer !== undefined) waiter.failed(this.answer)
        else waiter.committed(entry.index, replies[at])
      }
    }
  }
}

export const normalEntry = (index: number, data: Buffer): Entry => ({ index, term: 1, kind: 'normal', data })
