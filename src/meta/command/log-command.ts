// SPDX-License-Identifier: Apache-2.0
// Commands on the catalogue of independent logs, with their bytes and their replies.
//
//   create := 1-u8 id-u32 storage-u8 topic now-ms-u64
//   remove := 1-u8 id-u32 storage-u8 topic
import type { CataloguedLog, LogCreation } from '#contract/client/log-catalogue'
import { FieldReader } from '../codec/field-reader.ts'
import { FieldWriter } from '../codec/field-writer.ts'
import { storageNumber, storageOf } from '../codec/log-codec.ts'
import { COMMAND, type Command } from './command.ts'

const VERSION = 1

export interface CreateLogCommand extends CataloguedLog {
  readonly kind: 'create'
}

export interface RemoveLogCommand extends Omit<CataloguedLog, 'createdAtMs'> {
  readonly kind: 'remove'
}

export type LogCommand = CreateLogCommand | RemoveLogCommand

export const createLog = ({ id, storage, topic, createdAtMs }: CataloguedLog): Command<LogCreation> => ({
  type: COMMAND.createLog,
  body: new FieldWriter(VERSION).uint32(id).uint8(storageNumber(storage)).text(topic).uint64(createdAtMs).take(),
})

export const removeLog = ({ id, storage, topic }: CataloguedLog): Command<undefined> => ({
  type: COMMAND.removeLog,
  body: new FieldWriter(VERSION).uint32(id).uint8(storageNumber(storage)).text(topic).take(),
})

export function decodeLogCommand(type: number, body: Buffer): LogCommand {
  const reader = new FieldReader(body, VERSION, 'a command on the catalogue of logs')
  const log = { id: reader.uint32(), storage: storageOf(reader.uint8()), topic: reader.text() }
  const command: LogCommand =
    type === COMMAND.createLog ? { kind: 'create', ...log, createdAtMs: reader.uint64() } : { kind: 'remove', ...log }
  reader.end()
  return command
}
