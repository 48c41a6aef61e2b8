// SPDX-License-Identifier: Apache-2.0
// The catalogue of independent logs: at most one for each storage type and topic, and each id given once. The highest id ever given is kept, so that what
// is below it and not in the catalogue is known to have been removed (R50).
import { assertNever } from '#base/assert'
import type { LogCreation } from '#contract/client/log-catalogue'
import { decodeCount, encodeCount } from '../codec/count-codec.ts'
import type { GroupKeys } from '../codec/key.ts'
import { decodeCatalogueLog, encodeCatalogueLog } from '../codec/log-codec.ts'
import { COMMAND } from '../command/command.ts'
import { type CreateLogCommand, decodeLogCommand, type LogCommand, type RemoveLogCommand } from '../command/log-command.ts'
import type { Machine, ReadSet, StateView } from './state-machine.ts'

export class LogCatalogueMachine implements Machine<LogCommand> {
  readonly commandTypes = [COMMAND.createLog, COMMAND.removeLog]
  readonly #keys: GroupKeys

  constructor(keys: GroupKeys) {
    this.#keys = keys
  }

  decode(type: number, body: Buffer): LogCommand {
    return decodeLogCommand(type, body)
  }

  declareReads({ storage, topic }: LogCommand, reads: ReadSet): void {
    reads.key(this.#keys.catalogueLog(storage, topic))
    reads.key(this.#keys.nextLog)
  }

  apply(command: LogCommand, view: StateView): unknown {
    switch (command.kind) {
      case 'create':
        return this.#create(command, view)
      case 'remove':
        return this.#remove(command, view)
      default:
        return assertNever(command)
    }
  }

  #create({ id, storage, topic, createdAtMs }: CreateLogCommand, view: StateView): LogCreation {
    const key = this.#keys.catalogueLog(storage, topic)
    const stored = view.get(key)
    if (stored !== undefined) {
      const existing = decodeCatalogueLog(stored)
      return existing.id === id ? { kind: 'created' } : { kind: 'exists', id: existing.id }
    }
    const nextId = decodeCount(view.get(this.#keys.nextLog))
    if (id < nextId) return { kind: 'taken', nextId }
    view.put(key, encodeCatalogueLog({ id, createdAtMs }))
    view.put(this.#keys.nextLog, encodeCount(id + 1))
    return { kind: 'created' }
  }

  #remove({ id, storage, topic }: RemoveLogCommand, view: StateView): undefined {
    const key = this.#keys.catalogueLog(storage, topic)
    const stored = view.get(key)
    if (stored !== undefined && decodeCatalogueLog(stored).id === id) view.delete(key)
  }
}
