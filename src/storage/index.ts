// SPDX-License-Identifier: Apache-2.0
export { type OfflineLimit, type Shard, ShardRouter, type StoragePolicy, type TopicPolicy } from './shard-router.ts'
export type { ShardStore } from './shard-store.ts'
export { TopicSettings, type TopicSettingsTarget } from './topic-settings.ts'
