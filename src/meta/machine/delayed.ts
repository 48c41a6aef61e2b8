// SPDX-License-Identifier: Apache-2.0
// Messages that wait for their time, in its order, and the packet ids of QoS 2 under which they came: both in one write, so that a repetition
// is never stored again (D14).
import { assertNever } from '#base/assert'
import type { DelayedKey } from '#contract/client/delayed-client'
import { decodeCount, encodeCount } from '../codec/count-codec.ts'
import { decodeDelayedKey, encodeDelayedKey } from '../codec/delayed-codec.ts'
import { type GroupKeys, packetIdBytes } from '../codec/key.ts'
import { COMMAND } from '../command/command.ts'
import { type DelayedCommand, decodeDelayedCommand, type PutCommand } from '../command/delayed-command.ts'
import type { Machine, ReadSet, StateView } from './state-machine.ts'

export class DelayedMachine implements Machine<DelayedCommand> {
  readonly commandTypes = [COMMAND.putDelayed, COMMAND.takeDelayed, COMMAND.releaseDelayed, COMMAND.forgetDelayed]
  readonly #keys: GroupKeys
  readonly #ordinal: number
  readonly #groupCount: number

  /** `ordinal` of `groupCount` groups that give out ids, which tell their group. */
  constructor(keys: GroupKeys, ordinal: number, groupCount: number) {
    this.#keys = keys
    this.#ordinal = ordinal
    this.#groupCount = groupCount
  }

  decode(type: number, body: Buffer): DelayedCommand {
    return decodeDelayedCommand(type, body)
  }

  declareReads(command: DelayedCommand, reads: ReadSet): void {
    switch (command.kind) {
      case 'put':
        reads.key(this.#keys.delayedCounter)
        if (command.receipt !== undefined) reads.key(this.#keys.delayedReceipt(command.receipt))
        return
      case 'take':
        for (const key of command.keys) reads.key(this.#keys.delayedHead(key))
        return
      case 'release':
        return
      case 'forget':
        for (const uid of command.publishers)
          reads.items(this.#keys.delayedReceiptsOf(uid), { key: this.#keys.delayedCounter, itemsOf: unknown })
        return
      default:
        assertNever(command)
    }
  }

  apply(command: DelayedCommand, view: StateView): unknown {
    switch (command.kind) {
      case 'put':
        return this.#put(command, view)
      case 'take':
        return command.keys.map((key) => this.#take(key, view))
      case 'release':
        view.deleteItem(this.#keys.delayedReceiptsOf(command.receipt.publisher), packetIdBytes(command.receipt.packetId))
        return undefined
      case 'forget':
        for (const uid of command.publishers) view.deleteItems(this.#keys.delayedReceiptsOf(uid))
        return undefined
      default:
        return assertNever(command)
    }
  }

  #put({ dueMs, receipt, head, body }: PutCommand, view: StateView): DelayedKey {
    const known = receipt && view.get(this.#keys.delayedReceipt(receipt))
    if (known !== undefined) return decodeDelayedKey(known)
    const count = decodeCount(view.get(this.#keys.delayedCounter)) + 1
    const key = { dueMs, id: (count - 1) * this.#groupCount + this.#ordinal + 1 }
    view.put(this.#keys.delayedCounter, encodeCount(count))
    view.put(this.#keys.delayedHead(key), head)
    view.put(this.#keys.delayedBody(key), body)
    if (receipt !== undefined)
      view.putItem(this.#keys.delayedReceiptsOf(receipt.publisher), packetIdBytes(receipt.packetId), encodeDelayedKey(key))
    return key
  }

  #take(key: DelayedKey, view: StateView): boolean {
    if (view.get(this.#keys.delayedHead(key)) === undefined) return false
    view.delete(this.#keys.delayedHead(key))
    view.delete(this.#keys.delayedBody(key))
    return true
  }
}

const unknown = (): 'scan' => 'scan'
