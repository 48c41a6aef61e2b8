// SPDX-License-Identifier: Apache-2.0
// The stored form of who has an exclusive filter.
import type { ExclusiveOwner } from '#contract/client/exclusive-client'
import { FieldReader } from './field-reader.ts'
import { FieldWriter } from './field-writer.ts'

const VERSION = 1

/** The filter is in the key. */
export function encodeExclusiveOwner({ tenant, clientId, uid, epoch }: ExclusiveOwner): Buffer {
  return new FieldWriter(VERSION).text(tenant).text(clientId).uint64(uid).uint64(epoch).take()
}

export function decodeExclusiveOwner(bytes: Buffer): ExclusiveOwner {
  const reader = new FieldReader(bytes, VERSION, 'the stored owner of an exclusive filter')
  const owner = { tenant: reader.text(), clientId: reader.text(), uid: reader.uint64(), epoch: reader.uint64() }
  reader.end()
  return owner
}
