// SPDX-License-Identifier: Apache-2.0
// Registers this node, and keeps the cluster version: the lowest of what the members have announced when they registered (R55).
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { BrokerIdentity } from '#contract/record/session'
import type { AppliedSignal } from '../applied-signal.ts'
import { decodeClusterVersion } from '../codec/cluster-version-codec.ts'
import { nodeOfKey } from '../codec/key.ts'
import { decodeNode } from '../codec/node-codec.ts'
import { type RegisterReply, raiseClusterVersion, registerNode } from '../command/node-command.ts'
import { scanRange } from '../scan.ts'
import type { GroupClient } from './group-client.ts'
import type { VersionGate } from './version-gate.ts'

export class NodeService {
  readonly #group: GroupClient
  readonly #gate: VersionGate
  readonly #members: (() => readonly number[]) | undefined
  readonly #stopListening: () => void
  readonly #crash: (reason: Error) => void
  #isInterrupted = false
  #reading = false
  #moved = false

  /** `members`: all nodes of the cluster, learners included; without it they are those that have ever registered. */
  constructor(
    group: GroupClient,
    gate: VersionGate,
    signal: AppliedSignal,
    members: (() => readonly number[]) | undefined,
    crash: (reason: Error) => void,
  ) {
    this.#group = group
    this.#gate = gate
    this.#members = members
    this.#crash = crash
    this.#stopListening = signal.listen(() => this.#follow())
  }

  stop(): void {
    this.#stopListening()
  }

  /** Lets a registration that is under way end, by a rejection with stopping. */
  interrupt(): void {
    this.#isInterrupted = true
  }

  /**
   * Tried until it is done or the service stops: a registration that was done twice skips a boot epoch, which harms nobody. `nowMs` tells it from those of earlier lives, so
   * that one of which no answer came in time is found: in a cluster that is slow for long, none may ever come in time.
   */
  async register(node: number, nowMs: number): Promise<BrokerIdentity> {
    for (let isFirst = true; ; isFirst = false) {
      try {
        const done = isFirst ? undefined : await this.#registered(node, nowMs)
        const reply = done ?? (await this.#group.submit(registerNode(node, nowMs, this.#gate.programVersion)))
        this.#gate.raise(reply.clusterVersion)
        if (reply.clusterVersion < this.#gate.programVersion) await this.raiseClusterVersion()
        return { node, bootEpoch: reply.bootEpoch }
      } catch (error) {
        if (!isPlatformError(error) || !UNSETTLED.includes(error.code)) throw error
      }
      if (this.#isInterrupted) throw new PlatformError(ERROR_CODES.stopping, 'the node stops before it has registered')
      await new Promise<void>((resolve) => this.#group.later(resolve))
    }
  }

  /** What is known here of a registration of this life that was done. */
  async #registered(node: number, nowMs: number): Promise<RegisterReply | undefined> {
    const { kv, keys } = this.#group
    const stored = await kv.get(keys.node(node))
    if (stored === undefined) return undefined
    const { bootEpoch, registeredAtMs } = decodeNode(stored)
    if (registeredAtMs !== nowMs) return undefined
    return { bootEpoch, clusterVersion: decodeClusterVersion(await kv.get(keys.clusterVersion)) }
  }

  /** Proposes the lowest version that all members have announced, when it is above the one in force. For when a member has come, gone or restarted. */
  async raiseClusterVersion(): Promise<void> {
    await this.#group.barrier()
    const announced = new Map<number, number>()
    await scanRange(this.#group.kv, this.#group.keys.nodes(), ({ key, value }) => {
      announced.set(nodeOfKey(key), decodeNode(value).programVersion)
      return true
    })
    const members = this.#members?.() ?? [...announced.keys()]
    const lowest = Math.min(...members.map((node) => announced.get(node) ?? 0))
    const known = Math.min(lowest, this.#gate.programVersion)
    if (members.length > 0 && known > this.#gate.clusterVersion)
      this.#gate.raise(await this.#group.submit(raiseClusterVersion(known, members)))
  }

  /** Another node may have raised it. There is nothing to look for once it is as high as this program. */
  #follow(): void {
    this.#moved = true
    if (this.#reading || this.#gate.clusterVersion >= this.#gate.programVersion) return
    this.#reading = true
    this.#read().catch(this.#crash)
  }

  async #read(): Promise<void> {
    while (this.#moved) {
      this.#moved = false
      this.#gate.raise(decodeClusterVersion(await this.#group.kv.get(this.#group.keys.clusterVersion)))
    }
    this.#reading = false
  }
}

/** The group has no leader for longer than a call waits, or what became of the call is not known. */
const UNSETTLED: readonly unknown[] = [ERROR_CODES.notLeader, ERROR_CODES.notReady, ERROR_CODES.proposalDropped, ERROR_CODES.outcomeUnknown]
