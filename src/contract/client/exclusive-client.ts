// SPDX-License-Identifier: Apache-2.0
// Filters that one session of the cluster has for itself. Committed and rejected as in MetaClient.
import type { Session } from '../record/session.ts'

export type ExclusiveOwner = Pick<Session, 'tenant' | 'clientId' | 'uid' | 'epoch'>

/** 'held': by another session that exists. 'fenced': a later connection of the same session has claimed it. */
export type ExclusiveClaim = 'granted' | 'held' | 'fenced'

export interface ExclusiveClient {
  /** Makes the session the owner, unless another one is. Ownership ends with `release` and with the session. */
  claim(filter: string, owner: ExclusiveOwner): Promise<ExclusiveClaim>
  /** Gives up those filters that the session owns. */
  release(filters: readonly string[], owner: ExclusiveOwner): Promise<void>
}
