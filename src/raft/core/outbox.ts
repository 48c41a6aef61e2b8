// SPDX-License-Identifier: Apache-2.0
// What the core wants sent: at once, or only when everything before it is durable (R3).
import type { LogIndex, Message, NodeId } from './message.ts'

/** Entries [from, end) are to be read for a replica that needs older ones than are in memory; answered by `loaded` or `loadFailed`. */
export interface EntryLoad {
  readonly to: NodeId
  readonly from: LogIndex
  readonly end: LogIndex
}

export interface Output {
  readonly messages: readonly Message[]
  readonly loads: readonly EntryLoad[]
  /** Replicas that need a snapshot; each named once, until `snapshotDone`. */
  readonly snapshotsTo: readonly NodeId[]
}

export class Outbox {
  #messages: Message[] = []
  #loads: EntryLoad[] = []
  #snapshotsTo: NodeId[] = []
  #afterPersist: Message[] = []

  get isEmpty(): boolean {
    return this.#messages.length === 0 && this.#loads.length === 0 && this.#snapshotsTo.length === 0
  }

  get hasAfterPersist(): boolean {
    return this.#afterPersist.length > 0
  }

  send(message: Message): void {
    this.#messages.push(message)
  }

  /** Promises something that must be durable first. */
  sendAfterPersist(message: Message): void {
    this.#afterPersist.push(message)
  }

  load(load: EntryLoad): void {
    this.#loads.push(load)
  }

  snapshot(to: NodeId): void {
    this.#snapshotsTo.push(to)
  }

  take(): Output {
    const output = { messages: this.#messages, loads: this.#loads, snapshotsTo: this.#snapshotsTo }
    this.#messages = []
    this.#loads = []
    this.#snapshotsTo = []
    return output
  }

  takeAfterPersist(): readonly Message[] {
    const messages = this.#afterPersist
    this.#afterPersist = []
    return messages
  }
}
