// SPDX-License-Identifier: Apache-2.0
// Cursors of sessions: one key for each log, and one for who holds them. A holder with a lower epoch than the last one is too late (Q9).
import { assertNever } from '#base/assert'
import { type CursorHolder, decodeHolder, encodeHolder, epochOfHolder, holderLists } from '../codec/cursor-codec.ts'
import { type GroupKeys, logBytes } from '../codec/key.ts'
import { COMMAND } from '../command/command.ts'
import { type ClaimCommand, type CursorCommand, decodeCursorCommand, type SaveCommand } from '../command/cursor-command.ts'
import type { Machine, ReadSet, StateView } from './state-machine.ts'

export class CursorMachine implements Machine<CursorCommand> {
  readonly commandTypes = [COMMAND.claimCursors, COMMAND.saveCursors, COMMAND.forgetCursors]
  readonly #keys: GroupKeys

  constructor(keys: GroupKeys) {
    this.#keys = keys
  }

  decode(type: number, body: Buffer): CursorCommand {
    return decodeCursorCommand(type, body)
  }

  declareReads(command: CursorCommand, reads: ReadSet): void {
    switch (command.kind) {
      case 'claim':
        reads.items(this.#keys.cursors(command.uid), { key: this.#keys.cursorHolder(command.uid), itemsOf: cursorItems })
        return
      case 'save':
        for (const { uid } of command.saves) reads.key(this.#keys.cursorHolder(uid))
        return
      case 'forget':
        for (const uid of command.uids) reads.key(this.#keys.cursorHolder(uid))
        return
      default:
        assertNever(command)
    }
  }

  apply(command: CursorCommand, view: StateView): unknown {
    switch (command.kind) {
      case 'claim':
        return this.#claim(command, view)
      case 'save':
        for (const save of command.saves) this.#save(save, view)
        return undefined
      case 'forget':
        for (const uid of command.uids) this.#forget(uid, view)
        return undefined
      default:
        return assertNever(command)
    }
  }

  #claim(command: ClaimCommand, view: StateView): readonly Buffer[] {
    const holder = this.#holder(command.uid, view)
    if (holder === undefined || holder.epoch < command.epoch)
      this.#hold(command.uid, { epoch: command.epoch, logs: holder?.logs ?? [] }, view)
    return view.items(this.#keys.cursors(command.uid))
  }

  #save(save: SaveCommand['saves'][number], view: StateView): void {
    const bytes = view.get(this.#keys.cursorHolder(save.uid))
    const epoch = bytes === undefined ? 0 : epochOfHolder(bytes)
    if (epoch > save.epoch) return
    const collection = this.#keys.cursors(save.uid)
    for (const { log, value } of save.cursors) view.putItem(collection, logBytes(log), value)
    // Most saves are of logs that are listed: their cost must not rise with the number of logs.
    if (bytes !== undefined && epoch === save.epoch && save.cursors.every(({ log }) => holderLists(bytes, log))) return
    const logs = new Set(bytes === undefined ? [] : decodeHolder(bytes).logs)
    for (const { log } of save.cursors) logs.add(log)
    this.#hold(save.uid, { epoch: save.epoch, logs: [...logs].sort((a, b) => a - b) }, view)
  }

  #forget(uid: number, view: StateView): void {
    const holder = this.#holder(uid, view)
    if (holder === undefined) return
    const collection = this.#keys.cursors(uid)
    for (const log of holder.logs) view.deleteItem(collection, logBytes(log))
    view.delete(this.#keys.cursorHolder(uid))
  }

  #holder(uid: number, view: StateView): CursorHolder | undefined {
    const bytes = view.get(this.#keys.cursorHolder(uid))
    return bytes === undefined ? undefined : decodeHolder(bytes)
  }

  #hold(uid: number, holder: CursorHolder, view: StateView): void {
    view.put(this.#keys.cursorHolder(uid), encodeHolder(holder))
  }
}

/** A session has cursors in the logs that its holder lists, and in no other. */
const cursorItems = (holder: Buffer | undefined): readonly Buffer[] => (holder === undefined ? [] : decodeHolder(holder).logs.map(logBytes))
