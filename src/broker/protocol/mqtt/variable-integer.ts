// SPDX-License-Identifier: Apache-2.0
// Variable byte integers (MQTT 5 section 1.5.5): seven bits a byte, low bits first, at most four bytes.

export const VARIABLE_INTEGER_MAX = 0x0fff_ffff

/** Bytes that the shortest encoding of a value has. */
export const variableIntegerSize = (value: number): number => (value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4)

/** The value at `at`; -1 when it runs past `limit` or is not in its shortest form [MQTT-1.5.5-1], so that the value tells its size. */
export function readVariableInteger(bytes: Buffer, at: number, limit: number): number {
  let value = 0
  for (let shift = 0, from = at; shift < 28 && from < limit; shift += 7, from++) {
    const byte = bytes[from] as number
    value |= (byte & 0x7f) << shift
    if (byte < 0x80) return byte === 0 && shift > 0 ? -1 : value
  }
  return -1
}

/** Writes a value in its shortest form and returns where it ends. */
export function writeVariableInteger(into: Buffer, value: number, at: number): number {
  let rest = value
  let to = at
  while (rest > 0x7f) {
    into[to++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  into[to++] = rest
  return to
}
