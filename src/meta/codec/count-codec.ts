// SPDX-License-Identifier: Apache-2.0
// The stored form of a counter.
import { FieldReader } from './field-reader.ts'
import { FieldWriter } from './field-writer.ts'

const VERSION = 1

export const encodeCount = (count: number): Buffer => new FieldWriter(VERSION, 9).uint64(count).take()

/** Zero when there is none yet. */
export function decodeCount(bytes: Buffer | undefined): number {
  if (bytes === undefined) return 0
  const reader = new FieldReader(bytes, VERSION, 'a stored count')
  const count = reader.uint64()
  reader.end()
  return count
}
