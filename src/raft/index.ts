// SPDX-License-Identifier: Apache-2.0
// What other layers may use of raft.
export type { ConfChange } from './core/conf-change.ts'
export type { ConfState, Entry, EntryKind, GroupId, HardState, LogIndex, LogStart, NodeId, Term } from './core/message.ts'
export type { RaftTiming } from './core/raft-core.ts'
export {
  type CreateGroupOptions,
  RaftHost,
  type RaftHostLimits,
  type RaftHostOptions,
  type RaftHostPorts,
  type RaftHostStores,
  type StoreKind,
} from './host.ts'
export type { AddedGroup, AddGroupOptions } from './late-groups.ts'
export { BoundedDisk } from './log/bounded-disk.ts'
export { type FileLogOptions, FileLogStore } from './log/file/file-log-store.ts'
export { MemoryLogStore } from './log/memory/memory-log-store.ts'
export type { EntryPiece, GroupWrite, LogDamage, LogPressure, LogScrub, LogStore, Pace, RecoveredGroup } from './log-store.ts'
export type { ProposalWaiter } from './pending-proposals.ts'
export type { GroupStatus, RaftGroup } from './raft-group.ts'
export type { InstalledSnapshot, StateMachine, StateSnapshot } from './state-machine.ts'
