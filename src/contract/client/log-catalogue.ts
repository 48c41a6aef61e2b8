// SPDX-License-Identifier: Apache-2.0
// The logs that belong to one topic each, as meta remembers them. The engine numbers them, meta sees to it that a number is given once.
import type { LogId, StorageType } from './engine-client.ts'

export interface CataloguedLog {
  readonly id: LogId
  readonly storage: StorageType
  readonly topic: string
  readonly createdAtMs: number
}

export interface LogCatalogue {
  readonly logs: readonly CataloguedLog[]
  /** Above every id that was ever given; 0 when none was. An id below it that is not in `logs` is of a log that was removed. */
  readonly nextId: LogId
}

/** 'exists': the topic has a log of that type under another id. 'taken': the id has been given to another log, which may be gone. */
export type LogCreation =
  | { readonly kind: 'created' }
  | { readonly kind: 'exists'; readonly id: LogId }
  | { readonly kind: 'taken'; readonly nextId: LogId }
