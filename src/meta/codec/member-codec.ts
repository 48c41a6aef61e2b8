// SPDX-License-Identifier: Apache-2.0
// The stored form of a member of the cluster: where it is reached.
//
//   member := 1-u8 address-text
import { FieldReader } from './field-reader.ts'
import { FieldWriter } from './field-writer.ts'

const VERSION = 1

export const encodeMember = (address: string): Buffer => new FieldWriter(VERSION).text(address).take()

export function decodeMember(bytes: Buffer): string {
  const reader = new FieldReader(bytes, VERSION, 'a stored member')
  const address = reader.text()
  reader.end()
  return address
}
