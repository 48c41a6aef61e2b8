// SPDX-License-Identifier: Apache-2.0
// The memory that the process has, and how much it may have.

export interface Memory {
  /** Bytes of the process that are in physical memory now. */
  residentBytes(): number
  /** Bytes of memory that the machine, or the container, has for its processes. */
  readonly machineBytes: number
  /** Bytes beyond which the heap of the language cannot grow: the process ends there. */
  readonly heapBytesMax: number
}
