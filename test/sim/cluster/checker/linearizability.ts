// SPDX-License-Identifier: Apache-2.0
// Whether a history of calls could have happened one at a time, each between its call and its return (T12): the search of Wing and Gong with Lowe's
// memory of (what is linearised, state), in the layout of Porcupine: calls and returns in a list by time, from which a call is lifted when its
// step succeeds, and into which it is put back when the search has come to a dead end. Written anew from the algorithm.

/** What an object is. States are values: equal keys are equal states. */
export interface Model<State, Input, Output> {
  readonly initial: State
  /** The state after the call, or undefined when it cannot give that output in this state. An output of undefined is one that nobody saw. */
  step(state: State, input: Input, output: Output | undefined): State | undefined
  keyOf(state: State): string
  /** Whether a call that gave this output changed nothing, whatever the state was. Where not given, no call is known for that. */
  isRead?(input: Input, output: Output): boolean
}

export interface Operation<Input, Output> {
  readonly input: Input
  /** Undefined when the outcome is not known: it may happen at any time from the call on, or never be seen. */
  readonly output: Output | undefined
  /** Any clock that does not go back. An operation that returns when another is called came before it only if it returned earlier. */
  readonly called: number
  readonly returned: number
}

/** 'unknown': the search was given up after so many steps. It counts as a failure. */
export type Verdict = 'linearizable' | 'not linearizable' | 'unknown'

const STEPS_MAX = 2_000_000

interface Lifted<State> {
  readonly call: Node
  readonly state: State
  /** A read that fits may come first: whatever order there is with it later, there is one with it here. Nothing else need be tried in its place. */
  readonly isRead: boolean
}

interface Node {
  readonly id: number
  readonly isCall: boolean
  /** Of a call. */
  partner: Node | undefined
  previous: Node | undefined
  next: Node | undefined
}

export function checkLinearizable<State, Input, Output>(
  model: Model<State, Input, Output>,
  operations: readonly Operation<Input, Output>[],
  stepsMax = STEPS_MAX,
): Verdict {
  const head = listOf(operations)
  const linearised = new Uint32Array((operations.length + 31) >> 5)
  const seen = new Set<string>()
  const lifted: Lifted<State>[] = []
  let state = model.initial
  let entry = head.next
  for (let steps = 0; head.next !== undefined; steps++) {
    if (steps > stepsMax) return 'unknown'
    if (entry?.isCall === true) {
      const { input, output } = operations[entry.id] as Operation<Input, Output>
      const after = model.step(state, input, output)
      if (after !== undefined && isNew(linearised, entry.id, model.keyOf(after), seen)) {
        lifted.push({ call: entry, state, isRead: output !== undefined && model.isRead?.(input, output) === true })
        state = after
        setBit(linearised, entry.id)
        lift(entry)
        entry = head.next
      } else entry = entry.next
    } else {
      // A return whose call is not linearised: of what was lifted last, try something else.
      let last: Lifted<State> | undefined
      do {
        last = lifted.pop()
        if (last === undefined) return 'not linearizable'
        clearBit(linearised, last.call.id)
        unlift(last.call)
      } while (last.isRead)
      state = last.state
      entry = last.call.next
    }
  }
  return 'linearizable'
}

/** Calls and returns by time; at one time calls come first, for they may then have met. Returns of unknown outcomes come last. */
function listOf<Input, Output>(operations: readonly Operation<Input, Output>[]): Node {
  const events: { readonly time: number; readonly node: Node }[] = []
  operations.forEach(({ output, called, returned }, id) => {
    const call: Node = { id, isCall: true, partner: undefined, previous: undefined, next: undefined }
    const end: Node = { id, isCall: false, partner: undefined, previous: undefined, next: undefined }
    call.partner = end
    events.push({ time: called, node: call }, { time: output === undefined ? Number.POSITIVE_INFINITY : returned, node: end })
  })
  events.sort((a, b) => a.time - b.time || Number(b.node.isCall) - Number(a.node.isCall) || a.node.id - b.node.id)
  const head: Node = { id: -1, isCall: false, partner: undefined, previous: undefined, next: undefined }
  let last = head
  for (const { node } of events) {
    last.next = node
    node.previous = last
    last = node
  }
  return head
}

function lift(call: Node): void {
  for (const node of [call, call.partner as Node]) {
    ;(node.previous as Node).next = node.next
    if (node.next !== undefined) node.next.previous = node.previous
  }
}

function unlift(call: Node): void {
  for (const node of [call.partner as Node, call]) {
    ;(node.previous as Node).next = node
    if (node.next !== undefined) node.next.previous = node
  }
}

function isNew(linearised: Uint32Array, id: number, stateKey: string, seen: Set<string>): boolean {
  setBit(linearised, id)
  const key = `${linearised.join(',')}|${stateKey}`
  clearBit(linearised, id)
  if (seen.has(key)) return false
  seen.add(key)
  return true
}

function setBit(bits: Uint32Array, at: number): void {
  bits[at >> 5] = (bits[at >> 5] as number) | (1 << (at & 31))
}

function clearBit(bits: Uint32Array, at: number): void {
  bits[at >> 5] = (bits[at >> 5] as number) & ~(1 << (at & 31))
}
