// SPDX-License-Identifier: Apache-2.0
// Regular expressions whose time is bounded by the length of the text times the length of the pattern, whatever both are: clients choose the
// text, and the expressions of JavaScript can take forever on a line of it. Every state of the machine is entered once for each place.
//
//   pattern  := sequence ('|' sequence)*
//   sequence := (atom repetition?)*
//   atom     := '(' '?:'? pattern ')' | '[' '^'? range+ ']' | '.' | '^' | '$' | '\' (d | D | w | W | s | S | punctuation) | character
//   repetition := ('*' | '+' | '?' | '{' min (',' max?)? '}') '?'?
//
// No look-around, no references to groups: those cannot be bounded. What is repeated must not be able to match nothing. Among several matches the
// one of Perl and JavaScript is taken; a group in a repetition holds what its last round matched.
import { must } from './assert.ts'
import { parseRegex, type RegexNode } from './regex-parser.ts'

type Instruction =
  | { readonly op: 'character'; readonly accepts: (code: number) => boolean }
  /** Goes on at `first`, and at `second` when that fails. */
  | { readonly op: 'split'; first: number; second: number }
  | { readonly op: 'save'; readonly slot: number }
  | { readonly op: 'start' }
  | { readonly op: 'end' }
  | { readonly op: 'match' }

/** What is to be tried when everything after it has failed: a state at a place, or what a slot held before. */
interface Alternative {
  readonly state: number
  readonly at: number
  readonly slot: number
}

/** Repetitions with counts are written out, so that this bounds them too. */
const INSTRUCTIONS_MAX = 1000
const NOT_SET = -1
const NO_SLOT = -1

/** What a text matched: the whole first, then each group; undefined for a group that took no part. */
export type RegexMatch = readonly (string | undefined)[]

export class LinearRegex {
  readonly #program: readonly Instruction[]
  /** Groups that are kept, `()`. */
  readonly groupCount: number

  private constructor(program: readonly Instruction[], groupCount: number) {
    this.#program = program
    this.groupCount = groupCount
  }

  /** Undefined when the pattern is none of this grammar, or too large. */
  static compile(pattern: string): LinearRegex | undefined {
    const parsed = parseRegex(pattern)
    if (parsed === undefined) return undefined
    const program: Instruction[] = []
    const whole: RegexNode = { kind: 'group', index: 0, body: parsed.node }
    if (!emit(program, whole)) return undefined
    program.push({ op: 'match' })
    return new LinearRegex(program, parsed.groupCount)
  }

  /** The first match in the text. */
  match(text: string): RegexMatch | undefined {
    const visited = new Uint8Array(this.#program.length * (text.length + 1))
    const slots = new Array<number>((this.groupCount + 1) * 2).fill(NOT_SET)
    // What failed at a place fails there for every beginning, so the marks stay from one beginning to the next.
    for (let begin = 0; begin <= text.length; begin++) {
      if (!this.#matchFrom(text, begin, visited, slots)) continue
      return Array.from({ length: this.groupCount + 1 }, (_, group) => {
        const [from, to] = [slots[group * 2] as number, slots[group * 2 + 1] as number]
        return from === NOT_SET || to === NOT_SET ? undefined : text.slice(from, to)
      })
    }
    return undefined
  }

  #matchFrom(text: string, begin: number, visited: Uint8Array, slots: number[]): boolean {
    const alternatives: Alternative[] = [{ state: 0, at: begin, slot: NO_SLOT }]
    for (let next = alternatives.pop(); next !== undefined; next = alternatives.pop()) {
      if (next.slot !== NO_SLOT) slots[next.slot] = next.at
      else if (this.#follow(text, next.state, next.at, visited, slots, alternatives)) return true
    }
    return false
  }

  /** Goes on from a state at a place until it matches or fails; leaves what else can be tried. */
  #follow(text: string, from: number, place: number, visited: Uint8Array, slots: number[], alternatives: Alternative[]): boolean {
    let state = from
    let at = place
    for (;;) {
      const mark = state * (text.length + 1) + at
      if (visited[mark] === 1) return false
      visited[mark] = 1
      const instruction = must(this.#program[state], 'a program ends with its match')
      switch (instruction.op) {
        case 'character': {
          const code = text.codePointAt(at)
          if (code === undefined || !instruction.accepts(code)) return false
          at += code > 0xffff ? 2 : 1
          state++
          break
        }
        case 'split':
          alternatives.push({ state: instruction.second, at, slot: NO_SLOT })
          state = instruction.first
          break
        case 'save':
          alternatives.push({ state: 0, at: slots[instruction.slot] as number, slot: instruction.slot })
          slots[instruction.slot] = at
          state++
          break
        case 'start':
          if (at !== 0) return false
          state++
          break
        case 'end':
          if (at !== text.length) return false
          state++
          break
        case 'match':
          return true
      }
    }
  }
}

/** False when the program would become too large. */
function emit(program: Instruction[], node: RegexNode): boolean {
  if (program.length >= INSTRUCTIONS_MAX) return false
  switch (node.kind) {
    case 'character':
      program.push({ op: 'character', accepts: node.accepts })
      return true
    case 'start':
    case 'end':
      program.push({ op: node.kind })
      return true
    case 'sequence':
      return node.items.every((item) => emit(program, item))
    case 'choice':
      return emitChoice(program, node.options)
    case 'repetition':
      return emitRepetition(program, node)
    case 'group': {
      if (node.index === undefined) return emit(program, node.body)
      program.push({ op: 'save', slot: node.index * 2 })
      if (!emit(program, node.body)) return false
      program.push({ op: 'save', slot: node.index * 2 + 1 })
      return true
    }
  }
}

function emitChoice(program: Instruction[], options: readonly RegexNode[]): boolean {
  const exits: Extract<Instruction, { op: 'split' }>[] = []
  for (const [at, option] of options.entries()) {
    const isLast = at === options.length - 1
    const split = { op: 'split' as const, first: program.length + 1, second: 0 }
    if (!isLast) program.push(split)
    if (!emit(program, option)) return false
    if (isLast) break
    const exit = { op: 'split' as const, first: 0, second: 0 }
    program.push(exit)
    exits.push(exit)
    split.second = program.length
  }
  for (const exit of exits) exit.first = exit.second = program.length
  return true
}

function emitRepetition(program: Instruction[], node: Extract<RegexNode, { kind: 'repetition' }>): boolean {
  const { body, min, max, isGreedy } = node
  const branch = (split: Extract<Instruction, { op: 'split' }>, inside: number, outside: number): void => {
    split.first = isGreedy ? inside : outside
    split.second = isGreedy ? outside : inside
  }
  for (let count = 0; count < min; count++) if (!emit(program, body)) return false
  if (max === Number.POSITIVE_INFINITY) {
    const split = { op: 'split' as const, first: 0, second: 0 }
    const again = program.push(split) - 1
    if (!emit(program, body)) return false
    program.push({ op: 'split', first: again, second: again })
    branch(split, again + 1, program.length)
    return true
  }
  const splits: { readonly split: Extract<Instruction, { op: 'split' }>; readonly inside: number }[] = []
  for (let count = min; count < max; count++) {
    const split = { op: 'split' as const, first: 0, second: 0 }
    splits.push({ split, inside: program.push(split) })
    if (!emit(program, body)) return false
  }
  for (const { split, inside } of splits) branch(split, inside, program.length)
  return true
}
