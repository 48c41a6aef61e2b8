// SPDX-License-Identifier: Apache-2.0
// The meta layer as roles see it.
export type { MetaGroupKind } from './codec/applied-codec.ts'
export { createMetaMachine } from './machine/create.ts'
export { type MetaGroups, MetaService } from './service/meta-service.ts'
export type { ProposalWaiter, Proposer } from './service/proposer.ts'
