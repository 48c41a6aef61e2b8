// SPDX-License-Identifier: Apache-2.0
// Exclusive filters: at most one session owns one. A compare-and-set on the uid of the session and the epoch of its connection.
import { assertNever } from '#base/assert'
import type { ExclusiveOwner } from '#contract/client/exclusive-client'
import { decodeExclusiveOwner, encodeExclusiveOwner } from '../codec/exclusive-codec.ts'
import type { GroupKeys } from '../codec/key.ts'
import { COMMAND } from '../command/command.ts'
import {
  type ClaimExclusiveCommand,
  type ClaimExclusiveReply,
  decodeExclusiveCommand,
  type ExclusiveCommand,
  type ReleaseExclusiveCommand,
} from '../command/exclusive-command.ts'
import type { Machine, ReadSet, StateView } from './state-machine.ts'

export class ExclusiveMachine implements Machine<ExclusiveCommand> {
  readonly commandTypes = [COMMAND.claimExclusive, COMMAND.releaseExclusive]
  readonly #keys: GroupKeys

  constructor(keys: GroupKeys) {
    this.#keys = keys
  }

  decode(type: number, body: Buffer): ExclusiveCommand {
    return decodeExclusiveCommand(type, body)
  }

  declareReads(command: ExclusiveCommand, reads: ReadSet): void {
    if (command.kind === 'claim') reads.key(this.#keys.exclusive(command.owner.tenant, command.filter))
    else for (const filter of command.filters) reads.key(this.#keys.exclusive(command.tenant, filter))
  }

  apply(command: ExclusiveCommand, view: StateView): unknown {
    switch (command.kind) {
      case 'claim':
        return this.#claim(command, view)
      case 'release':
        return this.#release(command, view)
      default:
        return assertNever(command)
    }
  }

  #claim({ filter, owner, endedUid }: ClaimExclusiveCommand, view: StateView): ClaimExclusiveReply {
    const key = this.#keys.exclusive(owner.tenant, filter)
    const holder = this.#owner(key, view)
    if (holder !== undefined && holder.uid !== owner.uid && holder.uid !== endedUid) return { claim: 'held', holder }
    if (holder !== undefined && holder.uid === owner.uid && holder.epoch > owner.epoch) return { claim: 'fenced', holder: undefined }
    view.put(key, encodeExclusiveOwner(owner))
    return { claim: 'granted', holder: undefined }
  }

  #release({ tenant, uid, epoch, filters }: ReleaseExclusiveCommand, view: StateView): undefined {
    for (const filter of filters) {
      const key = this.#keys.exclusive(tenant, filter)
      const holder = this.#owner(key, view)
      if (holder?.uid === uid && holder.epoch <= epoch) view.delete(key)
    }
  }

  #owner(key: Buffer, view: StateView): ExclusiveOwner | undefined {
    const bytes = view.get(key)
    return bytes && decodeExclusiveOwner(bytes)
  }
}
