// SPDX-License-Identifier: Apache-2.0
// The stored form of the cluster version.
import { FieldReader } from './field-reader.ts'
import { FieldWriter } from './field-writer.ts'

const VERSION = 1
/** Of a cluster that was never raised. */
export const CLUSTER_VERSION_FIRST = 1

export const encodeClusterVersion = (version: number): Buffer => new FieldWriter(VERSION, 5).uint32(version).take()

export function decodeClusterVersion(bytes: Buffer | undefined): number {
  if (bytes === undefined) return CLUSTER_VERSION_FIRST
  const reader = new FieldReader(bytes, VERSION, 'the cluster version')
  const version = reader.uint32()
  reader.end()
  return version
}
