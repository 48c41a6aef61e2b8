// SPDX-License-Identifier: Apache-2.0
// The memory of this process, as the operating system and V8 tell it.
import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'
import type { Memory } from '#base/port/memory'

export class NodeMemory implements Memory {
  readonly machineBytes = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY)
  readonly heapBytesMax = getHeapStatistics().heap_size_limit

  residentBytes(): number {
    return process.memoryUsage.rss()
  }
}
