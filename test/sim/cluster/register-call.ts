// SPDX-License-Identifier: Apache-2.0
// What clients ask of registers, and its bytes in the log.

/** Absent registers hold 0. Every written value is written once in a history. */
export type RegisterValue = number

/** Compares every register of `expected`; if all are so, sets every one of `set`. Returns what all that it names held before. */
export interface RegisterCall {
  readonly expected: ReadonlyMap<string, RegisterValue>
  readonly set: ReadonlyMap<string, RegisterValue>
  readonly read: readonly string[]
}

/** What the registers held, by name. */
export type RegisterReply = ReadonlyMap<string, RegisterValue>

interface Encoded {
  readonly expected: readonly [string, RegisterValue][]
  readonly set: readonly [string, RegisterValue][]
  readonly read: readonly string[]
}

export const encodeCall = ({ expected, set, read }: RegisterCall): Buffer =>
  Buffer.from(JSON.stringify({ expected: [...expected], set: [...set], read } satisfies Encoded))

export function decodeCall(bytes: Buffer): RegisterCall {
  const { expected, set, read } = JSON.parse(bytes.toString()) as Encoded
  return { expected: new Map(expected), set: new Map(set), read }
}

/** Without a write the call may be answered from what a replica has applied. */
export const isRead = ({ set }: RegisterCall): boolean => set.size === 0
