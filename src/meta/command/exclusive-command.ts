// SPDX-License-Identifier: Apache-2.0
// Commands on exclusive filters, with their bytes and their replies.
import { assert } from '#base/assert'
import type { ExclusiveClaim, ExclusiveOwner } from '#contract/client/exclusive-client'
import { FieldReader } from '../codec/field-reader.ts'
import { FieldWriter } from '../codec/field-writer.ts'
import { COMMAND, type Command } from './command.ts'

const VERSION = 1

export interface ClaimExclusiveCommand {
  readonly kind: 'claim'
  readonly filter: string
  readonly owner: ExclusiveOwner
  /** A session that is known to have ended: it may be replaced. UID_NONE for none. */
  readonly endedUid: number
}

export interface ReleaseExclusiveCommand {
  readonly kind: 'release'
  readonly tenant: string
  readonly uid: number
  readonly epoch: number
  readonly filters: readonly string[]
}

export type ExclusiveCommand = ClaimExclusiveCommand | ReleaseExclusiveCommand

export interface ClaimExclusiveReply {
  readonly claim: ExclusiveClaim
  /** Who has it, when it is held by another. */
  readonly holder: ExclusiveOwner | undefined
}

export function claimExclusive(filter: string, owner: ExclusiveOwner, endedUid: number): Command<ClaimExclusiveReply> {
  const { tenant, clientId, uid, epoch } = owner
  const writer = new FieldWriter(VERSION).text(filter).text(tenant).text(clientId).uint64(uid).uint64(epoch)
  return { type: COMMAND.claimExclusive, body: writer.uint64(endedUid).take() }
}

export function releaseExclusive(filters: readonly string[], { tenant, uid, epoch }: ExclusiveOwner): Command<undefined> {
  const writer = new FieldWriter(VERSION).text(tenant).uint64(uid).uint64(epoch).uint32(filters.length)
  for (const filter of filters) writer.text(filter)
  return { type: COMMAND.releaseExclusive, body: writer.take() }
}

export function decodeExclusiveCommand(type: number, body: Buffer): ExclusiveCommand {
  const reader = new FieldReader(body, VERSION, 'an exclusive command')
  const command = type === COMMAND.claimExclusive ? decodeClaim(reader) : decodeRelease(type, reader)
  reader.end()
  return command
}

function decodeClaim(reader: FieldReader): ClaimExclusiveCommand {
  const filter = reader.text()
  const owner = { tenant: reader.text(), clientId: reader.text(), uid: reader.uint64(), epoch: reader.uint64() }
  return { kind: 'claim', filter, owner, endedUid: reader.uint64() }
}

function decodeRelease(type: number, reader: FieldReader): ReleaseExclusiveCommand {
  assert(type === COMMAND.releaseExclusive, 'only exclusive commands come here')
  const [tenant, uid, epoch] = [reader.text(), reader.uint64(), reader.uint64()]
  return { kind: 'release', tenant, uid, epoch, filters: Array.from({ length: reader.uint32() }, () => reader.text()) }
}
