// SPDX-License-Identifier: Apache-2.0
// What the ways between clients and the nodes that they call are like. Rates are probabilities; a rate of 0 leaves the fault out.

export interface RpcConditions {
  readonly delayMsMean: number
  /** How often a request is late by up to `tailMs`. */
  readonly tailRatio: number
  readonly tailMs: number
  /** Of requests, and of answers. The caller waits until its deadline. */
  readonly lossRatio: number
  /** The caller is told that its connection broke; what it asked goes on. For each call, and each message of a stream. */
  readonly breakRatio: number
  /** Messages of a stream that its server may be ahead of its caller. */
  readonly windowMessages: number
}
