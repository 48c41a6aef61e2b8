// SPDX-License-Identifier: Apache-2.0
// Which machines make up a group of each kind.
import { assert, assertNever } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Kv } from '#base/port/kv'
import type { StateMachine } from '#raft'
import { AppliedSignal } from '../applied-signal.ts'
import type { MetaGroupKind } from '../codec/applied-codec.ts'
import { GroupKeys } from '../codec/key.ts'
import type { RawCommand } from '../command/command.ts'
import { ClientSessionMachine } from './client-session.ts'
import { CursorMachine } from './cursor.ts'
import { DelayedMachine } from './delayed.ts'
import { ExclusiveMachine } from './exclusive.ts'
import { KvMachine } from './kv.ts'
import { LogCatalogueMachine } from './log-catalogue.ts'
import { MemberMachine } from './member.ts'
import { MuxStateMachine } from './mux.ts'
import { NodeMachine } from './node.ts'
import { RetainedMachine } from './retained.ts'
import { SessionMachine } from './session.ts'
import type { Machine } from './state-machine.ts'

/**
 * The state machine of the group `groupId`, the `ordinal`th (from 0) of `groupCount` groups of its kind. Its state lies in `kv` under keys of its own.
 * `signal` is raised whenever that state has moved.
 */
export function createMetaMachine(
  kind: MetaGroupKind,
  groupId: number,
  ordinal: number,
  groupCount: number,
  kv: Kv,
  signal = new AppliedSignal(),
): StateMachine {
  assert(ordinal >= 0 && ordinal < groupCount, 'the ordinal of a group is below the number of groups')
  const keys = new GroupKeys(groupId)
  const machines = createMachines(kind, keys, ordinal, groupCount)
  return new MuxStateMachine(kv, keys, { kind, ordinal, groupCount }, [...machines, sessionsOver(machines, keys)], signal)
}

function createMachines(kind: MetaGroupKind, keys: GroupKeys, ordinal: number, groupCount: number): readonly Machine<unknown>[] {
  switch (kind) {
    case 'metadata':
      return [new NodeMachine(keys), new MemberMachine(keys), new KvMachine(keys), new LogCatalogueMachine(keys)]
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

/** Every command but those of client sessions themselves can be done in one. */
function sessionsOver(machines: readonly Machine<unknown>[], keys: GroupKeys): Machine<unknown> {
  return new ClientSessionMachine(keys, ({ type }: RawCommand) => {
    const machine = machines.find(({ commandTypes }) => commandTypes.includes(type))
    if (machine !== undefined) return machine
    throw new PlatformError(
      ERROR_CODES.dataVersion,
      `a client session has a command of type ${type}, which cannot be done in one; run a newer program`,
    )
  })
}
