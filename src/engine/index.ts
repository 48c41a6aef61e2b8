// SPDX-License-Identifier: Apache-2.0
// The storage engine, as roles compose it. Others use it through contract/client/engine-client.
export type { ProposalWaiter, Proposer } from './log/stripe.ts'
export { type EngineMachine, type EngineOptions, type EnginePorts, type EngineRetention, EngineService } from './service/engine-service.ts'
