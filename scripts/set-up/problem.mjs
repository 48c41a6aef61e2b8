// SPDX-License-Identifier: Apache-2.0
// What stops the set-up: a sentence on what was tried, and one on what the reader can do.

export class SetUpProblem extends Error {
  name = 'SetUpProblem'

  constructor(message, advice) {
    super(message)
    this.advice = advice
  }
}
