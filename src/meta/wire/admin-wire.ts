// SPDX-License-Identifier: Apache-2.0
// The messages of the service MetaAdmin, after contract/proto/meta.proto. Decoders throw invalid.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { NodeId } from '#base/port/peer-transport'
import type { MemberChange, MetaGroupStatus, MetaMember, MetaMembers } from '#contract/client/meta-admin-client'
import { ProtoFields, ProtoWriter } from './proto-fields.ts'

export const ADMIN_SERVICE = 'MetaAdmin'
export const ADMIN_METHOD = Object.freeze({
  status: 'status',
  changeMembers: 'changeMembers',
  transferLeadership: 'transferLeadership',
  members: 'members',
  setAddress: 'setAddress',
  removeAddress: 'removeAddress',
})

const CHANGES: readonly MemberChange[] = ['addLearner', 'promote', 'remove']

export interface ChangeMembersRequest {
  readonly group: number
  readonly change: MemberChange
  readonly node: NodeId
}

export interface TransferLeadershipRequest {
  readonly group: number
  readonly to: NodeId
}

export interface SetAddressRequest {
  readonly node: NodeId
  readonly address: string
}

export const encodeStatusReply = (groups: readonly MetaGroupStatus[]): Buffer => new ProtoWriter().messages(1, groups, encodeGroup).take()

export const decodeStatusReply = (message: Buffer): readonly MetaGroupStatus[] => new ProtoFields(message).messages(1, decodeGroup)

export const encodeChangeMembers = ({ group, change, node }: ChangeMembersRequest): Buffer =>
  new ProtoWriter()
    .number(1, group)
    .number(2, CHANGES.indexOf(change) + 1)
    .number(3, node)
    .take()

export function decodeChangeMembers(message: Buffer): ChangeMembersRequest {
  const fields = new ProtoFields(message)
  const change = CHANGES[fields.number(2) - 1]
  if (change === undefined)
    throw new PlatformError(ERROR_CODES.invalid, `${fields.number(2)} is no change of members; run versions that go together`)
  return { group: fields.number(1), change, node: fields.number(3) }
}

export const encodeTransferLeadership = ({ group, to }: TransferLeadershipRequest): Buffer =>
  new ProtoWriter().number(1, group).number(2, to).take()

export function decodeTransferLeadership(message: Buffer): TransferLeadershipRequest {
  const fields = new ProtoFields(message)
  return { group: fields.number(1), to: fields.number(2) }
}

export const encodeMembersReply = ({ clusterVersion, members }: MetaMembers): Buffer =>
  new ProtoWriter().number(1, clusterVersion).messages(2, members, encodeMember).take()

export function decodeMembersReply(message: Buffer): MetaMembers {
  const fields = new ProtoFields(message)
  return { clusterVersion: fields.number(1), members: fields.messages(2, decodeMember) }
}

export const encodeSetAddress = ({ node, address }: SetAddressRequest): Buffer => new ProtoWriter().number(1, node).text(2, address).take()

export function decodeSetAddress(message: Buffer): SetAddressRequest {
  const fields = new ProtoFields(message)
  return { node: fields.number(1), address: fields.text(2) }
}

export const encodeRemoveAddress = (node: NodeId): Buffer => new ProtoWriter().number(1, node).take()

export const decodeRemoveAddress = (message: Buffer): NodeId => new ProtoFields(message).number(1)

const encodeMember = ({ node, address, programVersion }: MetaMember): Buffer =>
  new ProtoWriter().number(1, node).text(2, address).number(3, programVersion).take()

function decodeMember(message: Buffer): MetaMember {
  const fields = new ProtoFields(message)
  return { node: fields.number(1), address: fields.text(2), programVersion: fields.number(3) }
}

function encodeGroup({ group, role, term, leader, commit, applied, voters, learners }: MetaGroupStatus): Buffer {
  const writer = new ProtoWriter().number(1, group).text(2, role).number(3, term).number(4, leader).number(5, commit).number(6, applied)
  for (const node of voters) writer.optionalNumber(7, node)
  for (const node of learners) writer.optionalNumber(8, node)
  return writer.take()
}

function decodeGroup(message: Buffer): MetaGroupStatus {
  const fields = new ProtoFields(message)
  return {
    group: fields.number(1),
    role: fields.text(2),
    term: fields.number(3),
    leader: fields.number(4),
    commit: fields.number(5),
    applied: fields.number(6),
    voters: fields.numbers(7),
    learners: fields.numbers(8),
  }
}
