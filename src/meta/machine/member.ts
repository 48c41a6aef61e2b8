// SPDX-License-Identifier: Apache-2.0
// Where the members of the cluster are reached. Who is a member is the configuration of the Raft groups; this is what it takes to get there.
import type { GroupKeys } from '../codec/key.ts'
import { encodeMember } from '../codec/member-codec.ts'
import { COMMAND } from '../command/command.ts'
import { decodeMemberCommand, type MemberCommand } from '../command/member-command.ts'
import type { Machine, StateView } from './state-machine.ts'

export class MemberMachine implements Machine<MemberCommand> {
  readonly commandTypes = [COMMAND.setMember, COMMAND.removeMember]
  readonly #keys: GroupKeys

  constructor(keys: GroupKeys) {
    this.#keys = keys
  }

  decode(type: number, body: Buffer): MemberCommand {
    return decodeMemberCommand(type, body)
  }

  /** It is overwritten, whatever it was. */
  declareReads(): void {}

  apply({ node, address }: MemberCommand, view: StateView): undefined {
    const key = this.#keys.member(node)
    if (address === undefined) view.delete(key)
    else view.put(key, encodeMember(address))
  }
}
