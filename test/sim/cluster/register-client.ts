// SPDX-License-Identifier: Apache-2.0
// A client of the registers: one call at a time, or a few, to a node that it changes when it is not served. What it cannot know it records as unknown.
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { SimRandom } from '../random.ts'
import type { World } from '../world.ts'
import type { RegisterOperation } from './checker/register-history.ts'
import type { ClusterWorkload } from './cluster-configuration.ts'
import type { ClusterNode } from './cluster-node.ts'
import { encodeCall, isRead, type RegisterCall, type RegisterReply, type RegisterValue } from './register-call.ts'
import type { RegisterProgram } from './register-program.ts'

/** 'refused': it was not done and will not be. */
type Answer = { readonly kind: 'done'; readonly reply: RegisterReply } | { readonly kind: 'refused' } | { readonly kind: 'unknown' }

/** After so many unknown outcomes on a key, another key takes its place: each of them makes the search for an order harder. */
const UNKNOWN_MAX = 6

/** What the clients of a run share. */
export class RegisterHistory {
  readonly operations: RegisterOperation[] = []
  #lastValue = 0
  readonly #generations: number[]
  readonly #unknown: number[]
  readonly #seen = new Map<string, RegisterValue>()

  constructor(keys: number) {
    this.#generations = Array.from({ length: keys }, () => 0)
    this.#unknown = Array.from({ length: keys }, () => 0)
  }

  nextValue(): RegisterValue {
    return ++this.#lastValue
  }

  keyAt(slot: number): string {
    return `${String.fromCharCode(97 + slot)}${this.#generations[slot]}`
  }

  /** What some client saw last: the best guess for a compare. */
  lastSeen(key: string): RegisterValue {
    return this.#seen.get(key) ?? 0
  }

  record(input: RegisterCall, output: RegisterReply | undefined, called: number, returned: number): void {
    this.operations.push({ input, output, called, returned })
    if (output === undefined) this.#countUnknown(input)
    for (const [key, value] of output ?? []) this.#seen.set(key, input.set.get(key) ?? value)
  }

  #countUnknown({ set }: RegisterCall): void {
    for (const key of set.keys()) {
      const slot = key.charCodeAt(0) - 97
      if (this.keyAt(slot) !== key) continue
      this.#unknown[slot] = (this.#unknown[slot] as number) + 1
      if ((this.#unknown[slot] as number) < UNKNOWN_MAX) continue
      this.#unknown[slot] = 0
      this.#generations[slot] = (this.#generations[slot] as number) + 1
    }
  }
}

export class RegisterClient {
  readonly #world: World
  readonly #random: SimRandom
  readonly #workload: ClusterWorkload
  readonly #history: RegisterHistory
  /** The nodes that it may ask, as of now. */
  readonly #nodes: () => readonly ClusterNode<RegisterProgram>[]
  #node: ClusterNode<RegisterProgram> | undefined
  #open = 0
  #stopped = false
  #done = 0

  constructor(
    world: World,
    random: SimRandom,
    workload: ClusterWorkload,
    history: RegisterHistory,
    nodes: () => readonly ClusterNode<RegisterProgram>[],
  ) {
    this.#world = world
    this.#random = random
    this.#workload = workload
    this.#history = history
    this.#nodes = nodes
    this.#think()
  }

  /** Calls that were answered. */
  get done(): number {
    return this.#done
  }

  /** Calls nothing new; what is open comes to an end. */
  stop(): void {
    this.#stopped = true
  }

  get idle(): boolean {
    return this.#stopped && this.#open === 0
  }

  #think(): void {
    this.#world.schedule('client', undefined, this.#random.delayMs(this.#workload.thinkMs), () => {
      if (this.#stopped) return
      for (let left = this.#random.range(1, this.#workload.burstMax); left > 0; left--) this.#call(this.#draw())
    })
  }

  #call(call: RegisterCall): void {
    const node = this.#choose()
    const called = this.#world.nowMs
    this.#open++
    let ended = false
    const end = (answer: Answer): void => {
      if (ended) return
      ended = true
      this.#ended(call, called, answer)
    }
    this.#world.schedule('client', undefined, this.#workload.patienceMs, () => end({ kind: 'unknown' }))
    this.#world.schedule('client', undefined, this.#random.delayMs(0.5), () => {
      const program = node?.program
      if (node === undefined || program === undefined) return end({ kind: 'refused' })
      // In the process of the node, which may stand still or die before it answers.
      this.#world.schedule('client', node.life, 0, () => {
        serve(program, call, (answer) => this.#world.schedule('client', undefined, this.#random.delayMs(0.5), () => end(answer)))
      })
    })
  }

  #ended(call: RegisterCall, called: number, answer: Answer): void {
    this.#open--
    if (answer.kind === 'done') {
      this.#done++
      this.#history.record(call, answer.reply, called, this.#world.nowMs)
    } else {
      this.#node = undefined
      if (answer.kind === 'unknown' && !isRead(call)) this.#history.record(call, undefined, called, Number.POSITIVE_INFINITY)
    }
    if (this.#open === 0) this.#think()
  }

  #choose(): ClusterNode<RegisterProgram> | undefined {
    const nodes = this.#nodes()
    if (nodes.length === 0) return undefined
    if (this.#node === undefined || !nodes.includes(this.#node) || this.#random.chance(0.05)) this.#node = this.#random.pick(nodes)
    return this.#node
  }

  #draw(): RegisterCall {
    const random = this.#random
    const slots = [random.range(0, this.#workload.keys - 1)]
    if (random.chance(this.#workload.pairRatio)) slots.push(random.range(0, this.#workload.keys - 1))
    const keys = [...new Set(slots.map((slot) => this.#history.keyAt(slot)))]
    if (random.chance(this.#workload.readRatio)) return { expected: new Map(), set: new Map(), read: keys }
    const set = new Map(keys.map((key) => [key, this.#history.nextValue()]))
    const compares = random.chance(this.#workload.compareRatio)
    return { expected: new Map(compares ? keys.map((key) => [key, this.#history.lastSeen(key)]) : []), set, read: [] }
  }
}

function serve({ group, machine }: RegisterProgram, call: RegisterCall, answer: (answer: Answer) => void): void {
  if (isRead(call)) {
    group.readIndex().then(
      () => answer({ kind: 'done', reply: machine.read(call.read) }),
      () => answer({ kind: 'refused' }),
    )
    return
  }
  group.propose(encodeCall(call), {
    committed: (_index, reply) => answer({ kind: 'done', reply: reply as RegisterReply }),
    failed: (error) => answer({ kind: isPlatformError(error) && error.code === ERROR_CODES.outcomeUnknown ? 'unknown' : 'refused' }),
  })
}
