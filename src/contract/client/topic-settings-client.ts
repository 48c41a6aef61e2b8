// SPDX-License-Identifier: Apache-2.0
// Settings of topics that the cluster keeps, and that can be changed while it runs. They come before the [[topic]] tables of the configuration file.

/** A [[topic]] table with its keys and values as a file would have them: `{ filter: 'a/#', storage: 'segment', max_age: '1h' }`. */
export interface TopicTable {
  readonly filter?: unknown
  readonly [key: string]: unknown
}

export interface TopicEntry {
  /** Names it for those who change it: 1 to 128 letters, digits, '.', '_' and '-'. */
  readonly name: string
  /** The first entry that matches a topic decides alone: lower ones come first, equal ones by name. An integer. */
  readonly order: number
  readonly table: TopicTable
}

/** Entries that can be kept. */
export const TOPIC_ENTRIES_MAX = 1000

export interface TopicSettingsClient {
  /**
   * Adds an entry, or replaces the one of the same name. Resolves when it is committed and followed on this node. Rejects with configInvalid, naming every mistake as for a file, and
   * with quotaExceeded; else as MetaClient does.
   */
  set(entry: TopicEntry): Promise<void>
  /** False when there is none of this name. */
  remove(name: string): Promise<boolean>
  /** In the order in which they are looked at. */
  list(): Promise<readonly TopicEntry[]>
  /** Tells of all entries, in order, now and after every change until the service stops. Resolves when it has told for the first time. */
  follow(follower: (entries: readonly TopicEntry[]) => void): Promise<void>
}
