// SPDX-License-Identifier: Apache-2.0
// What a checker of the engine says when a promise is broken.

/** Which promise, in the words of RELIABILITY T14 and T15. */
export type Promised =
  | 'answers'
  | 'positions'
  | 'phantom'
  | 'content'
  | 'duplicate'
  | 'order'
  | 'lost'
  | 'removal'
  | 'read'
  | 'time'
  | 'tail'
  | 'sequences'
  | 'retained'

export class EngineViolation extends Error {
  override readonly name = 'EngineViolation'
  readonly checker: Promised

  constructor(checker: Promised, message: string) {
    super(`${checker}: ${message}`)
    this.checker = checker
  }
}
