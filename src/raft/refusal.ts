// SPDX-License-Identifier: Apache-2.0
// Why a group did not do what it was asked to, as those who asked are told.
import { PlatformError } from '#base/error'
import { ERROR_CODES, type ErrorCode } from '#base/error-code'
import type { GroupId } from './core/message.ts'
import type { RefusedReason } from './core/raft-core.ts'

export type GroupRefusal = RefusedReason | 'stopping' | 'notRestored'

const REFUSALS: Readonly<Record<GroupRefusal, readonly [ErrorCode, string]>> = Object.freeze({
  notLeader: [ERROR_CODES.notLeader, 'is not led by this node; send the request to its leader'],
  overLimit: [ERROR_CODES.proposalDropped, 'has too much unfinished work; slow down and try again'],
  transferring: [ERROR_CODES.proposalDropped, 'is being handed over to another leader; try again'],
  confPending: [ERROR_CODES.conflict, 'is changing its members already; try again when that is done'],
  termNotCommitted: [ERROR_CODES.proposalDropped, 'has a leader that is not established yet; try again'],
  confInvalid: [ERROR_CODES.invalid, 'cannot have these members: it keeps at least one voter, and a node has one part in it'],
  stopping: [ERROR_CODES.stopping, 'is stopping; ask another node or try again later'],
  notRestored: [ERROR_CODES.notReady, 'is not restored yet; try again later'],
})

export const groupError = (group: GroupId, code: ErrorCode, text: string): PlatformError =>
  new PlatformError(code, `raft group ${group} ${text}`, { detail: { group } })

export const groupRefusal = (group: GroupId, refusal: GroupRefusal): PlatformError => groupError(group, ...REFUSALS[refusal])
