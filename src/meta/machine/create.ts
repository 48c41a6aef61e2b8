// SPDX-License-Identifier: Apache-2.0
// Which machines make up a group of each kind.
import { assert, assertNever } from '#base/assert'
import type { Kv } from '#base/port/kv'
import type { StateMachine } from '#raft'
import type { MetaGroupKind } from '../codec/applied-codec.ts'
import { GroupKeys } from '../codec/key.ts'
import { CursorMachine } from './cursor.ts'
import { DelayedMachine } from './delayed.ts'
import { ExclusiveMachine } from './exclusive.ts'
import { MuxStateMachine } from './mux.ts'
import { NodeMachine } from './node.ts'
import { RetainedMachine } from './retained.ts'
import { SessionMachine } from './session.ts'
import type { Machine } from './state-machine.ts'

/** The state machine of the group `groupId`, the `ordinal`th (from 0) of `groupCount` groups of its kind. Its state lies in `kv` under keys of its own. */
export function createMetaMachine(kind: MetaGroupKind, groupId: number, ordinal: number, groupCount: number, kv: Kv): StateMachine {
  assert(ordinal >= 0 && ordinal < groupCount, 'the ordinal of a group is below the number of groups')
  const keys = new GroupKeys(groupId)
  return new MuxStateMachine(kv, keys, { kind, ordinal, groupCount }, createMachines(kind, keys, ordinal, groupCount))
}

function createMachines(kind: MetaGroupKind, keys: GroupKeys, ordinal: number, groupCount: number): readonly Machine<unknown>[] {
  switch (kind) {
    case 'metadata':
      return [new NodeMachine(keys)]
    case 'offset':
      return [new CursorMachine(keys)]
    case 'data':
      return [
        new SessionMachine(keys, ordinal, groupCount),
        new RetainedMachine(keys),
        new DelayedMachine(keys, ordinal, groupCount),
        new ExclusiveMachine(keys),
      ]
    default:
      return assertNever(kind)
  }
}
