// SPDX-License-Identifier: Apache-2.0
// The history of calls on named registers, checked key by key; keys that one call has touched together are checked together (T12).
import { SimFailure } from '../../world.ts'
import type { RegisterCall, RegisterReply, RegisterValue } from '../register-call.ts'
import { checkLinearizable, type Model, type Operation } from './linearizability.ts'

export type RegisterOperation = Operation<RegisterCall, RegisterReply>

type Registers = ReadonlyMap<string, RegisterValue>

export class LinearizabilityBroken extends SimFailure {
  readonly checker = 'linearizability'
}

const OPERATIONS_TOLD_MAX = 40

export const registerModel: Model<Registers, RegisterCall, RegisterReply> = {
  initial: new Map(),
  step(state, { expected, set }, reply) {
    if (reply !== undefined) for (const [key, value] of reply) if ((state.get(key) ?? 0) !== value) return undefined
    for (const [key, value] of expected) if ((state.get(key) ?? 0) !== value) return state
    return set.size === 0 ? state : new Map([...state, ...set])
  },
  isRead: ({ expected, set }, reply) => set.size === 0 || [...expected].some(([key, value]) => (reply.get(key) ?? value) !== value),
  keyOf: (state) =>
    [...state]
      .map(([key, value]) => `${key}=${value}`)
      .sort()
      .join(),
}

export const keysOf = ({ expected, set, read }: RegisterCall): readonly string[] => [
  ...new Set([...expected.keys(), ...set.keys(), ...read]),
]

/** Throws when a part of the history is not linearizable, or cannot be shown to be. */
export function checkRegisters(operations: readonly RegisterOperation[]): void {
  for (const part of partition(withoutUnseen(operations))) {
    const verdict = checkLinearizable(registerModel, part)
    if (verdict === 'linearizable') continue
    const told = [...part]
      .sort((a, b) => a.called - b.called)
      .slice(-OPERATIONS_TOLD_MAX)
      .map(describe)
    throw new LinearizabilityBroken([`the history of ${keysIn(part).join(', ')} is ${verdict}; its last calls:`, ...told].join('\n  '))
  }
}

/**
 * Drops writes of unknown outcome whose values nobody saw. Every reply names what it found, so that if such a write happened, nothing
 * that was seen depends on it.
 */
function withoutUnseen(operations: readonly RegisterOperation[]): readonly RegisterOperation[] {
  const seen = new Set<RegisterValue>()
  for (const { input, output } of operations) {
    for (const value of output?.values() ?? []) seen.add(value)
    if (output === undefined) continue
    for (const value of input.set.values()) seen.add(value)
  }
  return operations.filter(({ input, output }) => output !== undefined || [...input.set.values()].some((value) => seen.has(value)))
}

/** Calls that share a key, directly or through others, are one part. */
function partition(operations: readonly RegisterOperation[]): readonly RegisterOperation[][] {
  const parents = new Map<string, string>()
  const rootOf = (key: string): string => {
    let root = key
    for (let parent = parents.get(root); parent !== undefined && parent !== root; parent = parents.get(root)) root = parent
    parents.set(key, root)
    return root
  }
  for (const { input } of operations) {
    const [first, ...others] = keysOf(input)
    if (first !== undefined) for (const other of others) parents.set(rootOf(other), rootOf(first))
  }
  const parts = new Map<string, RegisterOperation[]>()
  for (const operation of operations) {
    const key = keysOf(operation.input)[0]
    if (key === undefined) continue
    const root = rootOf(key)
    const part = parts.get(root) ?? []
    part.push(operation)
    parts.set(root, part)
  }
  return [...parts.values()]
}

const keysIn = (operations: readonly RegisterOperation[]): readonly string[] =>
  [...new Set(operations.flatMap(({ input }) => keysOf(input)))].sort()

const pairs = (values: ReadonlyMap<string, RegisterValue>): string => [...values].map(([key, value]) => `${key}=${value}`).join(' ')

function describe({ input, output, called, returned }: RegisterOperation): string {
  const condition = input.expected.size > 0 ? `if ${pairs(input.expected)} ` : ''
  const action = input.set.size > 0 ? `set ${pairs(input.set)}` : `read ${input.read.join(' ')}`
  const end = output === undefined ? 'unknown' : `${returned.toFixed(3)} found ${pairs(output)}`
  return `${called.toFixed(3)} ${condition}${action} -> ${end}`
}
