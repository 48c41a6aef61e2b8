// SPDX-License-Identifier: Apache-2.0
// The memory of simulated nodes: there is always enough.
import type { Memory } from '#base/port/memory'

export const ENOUGH_MEMORY: Memory = Object.freeze({ residentBytes: () => 0, machineBytes: 2 ** 40, heapBytesMax: 2 ** 40 })
