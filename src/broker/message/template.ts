// SPDX-License-Identifier: Apache-2.0
// Topics and filters with places for what is known of a client: %c for its id, %u for its user name, $1 to $9 for groups of a regular expression.
import type { RegexMatch } from '#base/linear-regex'
import { hasWildcard } from '#base/topic-filter'

/** What rules may know of a client. */
export interface ClientNames {
  readonly clientId: string
  /** Undefined when it gave none. */
  readonly userName: string | undefined
}

export class Template {
  /** Literal text and places, in turn; the first is literal. */
  readonly #parts: readonly string[]

  constructor(text: string) {
    this.#parts = text.split(/(%[cu]|\$[1-9])/)
  }

  /**
   * Undefined for a client without what is named, and for one whose name holds a wildcard: it would reach what is not its own. A group that
   * took no part is empty.
   */
  fill(names: ClientNames, groups: RegexMatch): string | undefined {
    let filled = ''
    for (const [at, part] of this.#parts.entries()) {
      if (at % 2 === 0) filled += part
      else if (part.startsWith('$')) filled += groups[Number(part[1])] ?? ''
      else {
        const name = part === '%c' ? names.clientId : names.userName
        if (name === undefined || hasWildcard(name)) return undefined
        filled += name
      }
    }
    return filled
  }
}
