// SPDX-License-Identifier: Apache-2.0
// A group's dealings with its other replicas that are not consensus: forwards what only the leader can do, answers what followers ask of it, and
// compares states.
import type { PlatformError } from '#base/error'
import type { Entry, GroupId, LogIndex, NodeId } from '../core/message.ts'
import type { PendingProposals, ProposalWaiter } from '../pending-proposals.ts'
import type { ReadWaiters } from '../read-waiters.ts'
import type { StateMachine } from '../state-machine.ts'
import type { PeerMessage, PeerRefusal, ProposeRequest, ProposeResponse, ReadResponse, RequestNumber } from '../wire/peer-message.ts'
import { Forwarder } from './forwarder.ts'
import { StateHashes } from './state-hashes.ts'

/** The way of a group to the other nodes. */
export interface PeerLink {
  /** The group has output: it is emitted at the end of the running job. */
  schedule(): void
  send(to: NodeId, message: PeerMessage): void
  sendSnapshot(to: NodeId): void
  /** Replaces the state by the snapshot that was received. */
  install(): Promise<void>
  /** State and log are those of the snapshot. */
  installed(): Promise<void>
}

/** What followers may ask of a leader. */
export interface Leading {
  proposeFor(data: Buffer): ProposeResponse['outcome']
  /** Resolves with the index from which on the asker may serve the read. */
  readableFor(): Promise<LogIndex>
}

export interface GroupPeersOptions {
  readonly group: GroupId
  readonly machine: StateMachine
  readonly link: PeerLink
  readonly proposals: PendingProposals
  readonly reads: ReadWaiters
  readonly answerTicks: number
  readonly requestsMax: number
  /** An integer in [min, max]. */
  readonly random: (min: number, max: number) => number
}

/** Numbers of requests begin anywhere below this, and so many below the latest are repeats of earlier ones. */
const FIRST_REQUEST_MAX = 2 ** 47
const REPEATS_SPAN = 2 ** 24

export class GroupPeers {
  readonly link: PeerLink
  readonly #options: GroupPeersOptions
  readonly #forwarder: Forwarder
  readonly #hashes: StateHashes
  /** The latest command that each node has handed over. */
  readonly #lastProposed = new Map<NodeId, RequestNumber>()

  constructor(options: GroupPeersOptions) {
    const { group, machine, link, proposals, answerTicks, requestsMax, random } = options
    this.link = link
    this.#options = options
    this.#hashes = new StateHashes(group, machine)
    const send = (to: NodeId, message: PeerMessage): void => link.send(to, message)
    this.#forwarder = new Forwarder({ group, proposals, send, answerTicks, requestsMax, firstRequest: random(1, FIRST_REQUEST_MAX) })
  }

  /** Requests under way. */
  get count(): number {
    return this.#forwarder.count
  }

  /** Ticks so far. */
  get now(): number {
    return this.#forwarder.now
  }

  propose(leader: NodeId, data: Buffer, waiter: ProposalWaiter): void {
    this.#forwarder.propose(leader, data, waiter)
  }

  /** Resolves when this replica has applied what was committed at the time of the call. */
  read(leader: NodeId, applied: () => LogIndex): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#forwarder.read(leader, {
        readable: (index) => {
          if (index <= applied()) resolve()
          else this.#options.reads.await(index, { resolve, reject })
        },
        failed: (error: PlatformError) => reject(error),
      })
    })
  }

  /** Throws dataDamaged when a state hash differs. */
  onMessage(from: NodeId, message: Exclude<PeerMessage, { kind: 'consensus' }>, applied: LogIndex, leading: Leading): void {
    const { group } = this.#options
    switch (message.kind) {
      case 'proposeRequest':
        this.#onProposeRequest(from, message, leading)
        break
      case 'proposeResponse':
        this.#forwarder.onProposeResponse(from, message, applied)
        break
      case 'readRequest': {
        const answer = (outcome: ReadResponse['outcome']): void =>
          this.link.send(from, { kind: 'readResponse', group, request: message.request, outcome })
        leading.readableFor().then(
          (index) => answer({ kind: 'readable', index }),
          (error: { readonly code?: { readonly name: string } }) => answer({ kind: 'refused', reason: refusalOf(error) }),
        )
        break
      }
      case 'readResponse':
        this.#forwarder.onReadResponse(from, message)
        break
      case 'stateHash':
        this.#hashes.compare(message.index, message.hash, applied)
        break
    }
  }

  /** A transport may repeat what it carries: the command would be done twice, and what is said of the second would be believed of the first. */
  #onProposeRequest(from: NodeId, { request, data }: ProposeRequest, leading: Leading): void {
    const last = this.#lastProposed.get(from)
    if (last !== undefined && request <= last && request > last - REPEATS_SPAN) return
    this.#lastProposed.set(from, request)
    this.link.send(from, { kind: 'proposeResponse', group: this.#options.group, request, outcome: leading.proposeFor(data) })
  }

  unreachable(node: NodeId): void {
    this.#forwarder.unreachable(node)
  }

  tick(): void {
    this.#forwarder.tick()
  }

  /** To be told of every entry that is applied. */
  settle(entry: Entry, reply: unknown): void {
    this.#forwarder.applied(entry, reply)
  }

  /** To be told how far this replica is. Throws dataDamaged when a state hash differs. */
  applied(applied: LogIndex): void {
    this.#hashes.applied(applied)
  }

  /** Tells the others what the state of this leader is worth. */
  tellHash(applied: LogIndex, others: readonly NodeId[]): void {
    const next = this.#hashes.next(applied)
    if (next === undefined) return
    for (const to of others) this.link.send(to, { kind: 'stateHash', group: this.#options.group, ...next })
  }

  failAll(): void {
    this.#forwarder.failAll()
  }
}

const refusalOf = (error: { readonly code?: { readonly name: string } }): PeerRefusal => {
  if (error.code?.name === 'proposal-dropped') return 'overLimit'
  return error.code?.name === 'stopping' ? 'stopping' : 'notLeader'
}
