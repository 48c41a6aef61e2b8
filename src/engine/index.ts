// SPDX-License-Identifier: Apache-2.0
// The storage engine, as roles compose it. Others use it through contract/client/engine-client.

export type { ProposalWaiter, Proposer } from './log/append.ts'
export type { EntryReader } from './log/entry-batches.ts'
export { isRecordKey } from './log/key-layout.ts'
export type { DamagedRange, FileScrub, ScrubbedPlaces } from './log/scrubber.ts'
export type { SegmentPressure, SegmentStore } from './log/segment-retention.ts'
export type { EngineMachine, EngineMeta, EngineOptions, EnginePorts, EngineRetention } from './service/engine-options.ts'
export { EngineService } from './service/engine-service.ts'
export type { LogGroups, OpenedGroup } from './service/independent-logs.ts'
export { NodeScrubber } from './service/node-scrubber.ts'
export type { LogReport } from './service/storage-report.ts'
export { topicLimits } from './service/upkeep.ts'
