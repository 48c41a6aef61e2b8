// SPDX-License-Identifier: Apache-2.0
// Reads the regular expressions of linear-regex.ts, where their grammar is.
import { must } from './assert.ts'

export type RegexNode =
  | { readonly kind: 'character'; readonly accepts: (code: number) => boolean }
  | { readonly kind: 'start' | 'end' }
  | { readonly kind: 'sequence'; readonly items: readonly RegexNode[] }
  | { readonly kind: 'choice'; readonly options: readonly RegexNode[] }
  /** `index`: of a group that is kept, from 1 in the order of the opening brackets; undefined for one that only brackets. */
  | { readonly kind: 'group'; readonly index: number | undefined; readonly body: RegexNode }
  | { readonly kind: 'repetition'; readonly body: RegexNode; readonly min: number; readonly max: number; readonly isGreedy: boolean }

export interface ParsedRegex {
  readonly node: RegexNode
  readonly groupCount: number
}

type Accepts = (code: number) => boolean

const COUNT_MAX = 1000
const DEPTH_MAX = 50
const SPECIAL = '\\^$.*+?()[]{}|'

/** Undefined when the pattern is not of the grammar. */
export function parseRegex(pattern: string): ParsedRegex | undefined {
  const parser = new Parser([...pattern])
  const node = parser.choice(0)
  return node === undefined || !parser.isAtEnd ? undefined : { node, groupCount: parser.groupCount }
}

/** Every method takes what it names from the front, and returns undefined when it is not there. */
class Parser {
  /** Code points. */
  readonly #characters: readonly string[]
  #at = 0
  groupCount = 0

  constructor(characters: readonly string[]) {
    this.#characters = characters
  }

  get isAtEnd(): boolean {
    return this.#at === this.#characters.length
  }

  choice(depth: number): RegexNode | undefined {
    if (depth > DEPTH_MAX) return undefined
    const options: RegexNode[] = []
    do {
      const option = this.#sequence(depth)
      if (option === undefined) return undefined
      options.push(option)
    } while (this.#take('|'))
    return options.length === 1 ? options[0] : { kind: 'choice', options }
  }

  #sequence(depth: number): RegexNode | undefined {
    const items: RegexNode[] = []
    while (!this.isAtEnd && this.#peek !== '|' && this.#peek !== ')') {
      const atom = this.#atom(depth)
      const item = atom && this.#repeated(atom)
      if (item === undefined) return undefined
      items.push(item)
    }
    return { kind: 'sequence', items }
  }

  #atom(depth: number): RegexNode | undefined {
    const character = this.#next()
    switch (character) {
      case '(':
        return this.#group(depth)
      case '[':
        return this.#set()
      case '.':
        return { kind: 'character', accepts: isNoLineEnd }
      case '^':
        return { kind: 'start' }
      case '$':
        return { kind: 'end' }
      case '\\': {
        const accepts = this.#escape()
        return accepts && { kind: 'character', accepts }
      }
      default:
        return SPECIAL.includes(character) ? undefined : { kind: 'character', accepts: equals(codeOf(character)) }
    }
  }

  #group(depth: number): RegexNode | undefined {
    const isKept = !this.#take('?')
    if (!isKept && !this.#take(':')) return undefined
    const index = isKept ? ++this.groupCount : undefined
    const body = this.choice(depth + 1)
    return body === undefined || !this.#take(')') ? undefined : { kind: 'group', index, body }
  }

  #repeated(body: RegexNode): RegexNode | undefined {
    const bounds = this.#bounds()
    if (bounds === 'none') return body
    // To repeat what may be nothing means nothing, and where other machines stop doing so differs among them.
    if (bounds === undefined || canBeEmpty(body)) return undefined
    const isGreedy = !this.#take('?')
    return '*+?{'.includes(this.#peek ?? ' ') ? undefined : { kind: 'repetition', body, ...bounds, isGreedy }
  }

  #bounds(): { readonly min: number; readonly max: number } | 'none' | undefined {
    if (this.#take('*')) return { min: 0, max: Number.POSITIVE_INFINITY }
    if (this.#take('+')) return { min: 1, max: Number.POSITIVE_INFINITY }
    if (this.#take('?')) return { min: 0, max: 1 }
    if (!this.#take('{')) return 'none'
    const min = this.#count()
    if (min === undefined) return undefined
    if (this.#take('}')) return { min, max: min }
    if (!this.#take(',')) return undefined
    if (this.#take('}')) return { min, max: Number.POSITIVE_INFINITY }
    const max = this.#count()
    return max === undefined || max < min || !this.#take('}') ? undefined : { min, max }
  }

  #count(): number | undefined {
    let digits = ''
    while (/^\d$/.test(this.#peek ?? '') && digits.length < 5) digits += this.#next()
    const count = Number(digits)
    return digits === '' || count > COUNT_MAX ? undefined : count
  }

  #set(): RegexNode | undefined {
    const isNegated = this.#take('^')
    const members: Accepts[] = []
    while (!this.#take(']')) {
      const member = this.isAtEnd ? undefined : this.#member()
      if (member === undefined) return undefined
      members.push(member)
    }
    if (members.length === 0) return undefined
    return { kind: 'character', accepts: (code) => members.some((accepts) => accepts(code)) !== isNegated }
  }

  /** A character, an escape, or a range of characters. */
  #member(): Accepts | undefined {
    const first = this.#next()
    if (first === '[') return undefined
    const classed = first === '\\' && /^[dDwWsS]$/.test(this.#peek ?? '')
    if (classed) return this.#escape()
    const low = first === '\\' ? this.#punctuation() : first
    if (low === undefined) return undefined
    if (this.#peek !== '-' || this.#characters[this.#at + 1] === ']') return equals(codeOf(low))
    this.#next()
    if (this.isAtEnd) return undefined
    const last = this.#next()
    const high = last === '\\' ? this.#punctuation() : last
    if (high === undefined || high === '[' || codeOf(high) < codeOf(low)) return undefined
    const [from, to] = [codeOf(low), codeOf(high)]
    return (code) => code >= from && code <= to
  }

  /** What follows a backslash. */
  #escape(): Accepts | undefined {
    const kind = this.#peek ?? ''
    const accepts = CLASSES.get(kind.toLowerCase())
    if (accepts === undefined || !/^[dDwWsS]$/.test(kind)) {
      const literal = this.#punctuation()
      return literal === undefined ? undefined : equals(codeOf(literal))
    }
    this.#next()
    return kind === kind.toLowerCase() ? accepts : (code) => !accepts(code)
  }

  /** Letters and digits after a backslash have meanings elsewhere: those that have none here are refused. */
  #punctuation(): string | undefined {
    if (this.isAtEnd) return undefined
    const character = this.#next()
    return SPECIAL.includes(character) || character === '/' || character === '-' ? character : undefined
  }

  get #peek(): string | undefined {
    return this.#characters[this.#at]
  }

  #next(): string {
    return must(this.#characters[this.#at++], 'nothing is taken at the end')
  }

  #take(character: string): boolean {
    if (this.#peek !== character) return false
    this.#at++
    return true
  }
}

function canBeEmpty(node: RegexNode): boolean {
  switch (node.kind) {
    case 'character':
      return false
    case 'start':
    case 'end':
      return true
    case 'sequence':
      return node.items.every(canBeEmpty)
    case 'choice':
      return node.options.some(canBeEmpty)
    case 'group':
      return canBeEmpty(node.body)
    case 'repetition':
      return node.min === 0
  }
}

const codeOf = (character: string): number => character.codePointAt(0) ?? 0

const equals =
  (wanted: number): Accepts =>
  (code) =>
    code === wanted

const isNoLineEnd: Accepts = (code) => code !== 0x0a && code !== 0x0d && code !== 0x2028 && code !== 0x2029
const isDigit: Accepts = (code) => code >= 0x30 && code <= 0x39
const isWord: Accepts = (code) => isDigit(code) || (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a) || code === 0x5f
const isSpace: Accepts = (code) => code <= 0xffff && /\s/.test(String.fromCharCode(code))

const CLASSES: ReadonlyMap<string, Accepts> = new Map([
  ['d', isDigit],
  ['w', isWord],
  ['s', isSpace],
])
