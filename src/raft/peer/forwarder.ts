// SPDX-License-Identifier: Apache-2.0
// A follower's way to the leader of its group: commands go there, and reads learn from there how far this replica must be. What becomes of a
// command is seen here, when the entry is applied, so that a reply never travels.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Entry, GroupId, LogIndex, NodeId, Term } from '../core/message.ts'
import { type PendingProposals, type ProposalWaiter, unknownError } from '../pending-proposals.ts'
import type { PeerMessage, PeerRefusal, ProposeResponse, ReadResponse, RequestNumber } from '../wire/peer-message.ts'

export interface ForwarderOptions {
  readonly group: GroupId
  readonly proposals: PendingProposals
  readonly send: (to: NodeId, message: PeerMessage) => void
  /** A request that is not answered within so many ticks never will be. */
  readonly answerTicks: number
  /** Requests under way, for the limit on them (R9). */
  readonly requestsMax: number
  /** Requests are numbered from here: drawn, so that those of an earlier process of this node are not taken for these. */
  readonly firstRequest: RequestNumber
}

export interface ReadWaiter {
  /** This replica may serve the read once it has applied up to here. */
  readable(index: LogIndex): void
  failed(error: PlatformError): void
}

interface ForwardedProposal {
  readonly to: NodeId
  readonly tick: number
  readonly waiter: ProposalWaiter
}

interface ForwardedRead {
  readonly to: NodeId
  readonly tick: number
  readonly waiter: ReadWaiter
}

interface AppliedReply {
  readonly term: Term
  readonly reply: unknown
}

/** Replies kept while the leader's answer to a command is on its way: the entry may be applied here before the answer arrives. */
const REPLIES_MAX = 16_384

export class Forwarder {
  readonly #options: ForwarderOptions
  readonly #forwarded = new Map<RequestNumber, ForwardedProposal>()
  readonly #reads = new Map<RequestNumber, ForwardedRead>()
  readonly #replies = new Map<LogIndex, AppliedReply>()
  #lastRequest: RequestNumber
  #tick = 0

  constructor(options: ForwarderOptions) {
    this.#options = options
    this.#lastRequest = options.firstRequest - 1
  }

  get count(): number {
    return this.#forwarded.size + this.#reads.size
  }

  propose(leader: NodeId, data: Buffer, waiter: ProposalWaiter): void {
    if (this.count >= this.#options.requestsMax) {
      waiter.failed(this.#refusal('overLimit'))
      return
    }
    const request = ++this.#lastRequest
    this.#forwarded.set(request, { to: leader, tick: this.#tick, waiter })
    this.#options.send(leader, { kind: 'proposeRequest', group: this.#options.group, request, data })
  }

  read(leader: NodeId, waiter: ReadWaiter): void {
    if (this.count >= this.#options.requestsMax) {
      waiter.failed(this.#refusal('overLimit'))
      return
    }
    const request = ++this.#lastRequest
    this.#reads.set(request, { to: leader, tick: this.#tick, waiter })
    this.#options.send(leader, { kind: 'readRequest', group: this.#options.group, request })
  }

  /** To be told of every entry that is applied, with its reply. */
  applied(entry: Entry, reply: unknown): void {
    if (this.#forwarded.size === 0) return
    this.#replies.set(entry.index, { term: entry.term, reply })
    if (this.#replies.size > REPLIES_MAX) this.#forgetReplies()
  }

  /** `applied` is how far this replica is. */
  onProposeResponse(from: NodeId, { request, outcome }: ProposeResponse, applied: LogIndex): void {
    const proposal = this.#forwarded.get(request)
    if (proposal === undefined || proposal.to !== from) return
    this.#forwarded.delete(request)
    if (outcome.kind === 'refused') proposal.waiter.failed(this.#refusal(outcome.reason))
    else if (outcome.index > applied) this.#options.proposals.add(outcome.index, outcome.term, proposal.waiter, this.#tick)
    else this.#settle(outcome.index, outcome.term, proposal.waiter)
    if (this.#forwarded.size === 0) this.#replies.clear()
  }

  onReadResponse(from: NodeId, { request, outcome }: ReadResponse): void {
    const read = this.#reads.get(request)
    if (read === undefined || read.to !== from) return
    this.#reads.delete(request)
    if (outcome.kind === 'readable') read.waiter.readable(outcome.index)
    else read.waiter.failed(this.#refusal(outcome.reason))
  }

  /** Requests to that node may be lost, or their answers. */
  unreachable(node: NodeId): void {
    this.#failWhere(({ to }) => to === node)
  }

  tick(): void {
    this.#tick++
    const oldest = this.#tick - this.#options.answerTicks
    this.#failWhere(({ tick }) => tick < oldest)
    this.#options.proposals.abandon(oldest, 0)
  }

  failAll(): void {
    this.#failWhere(() => true)
  }

  get now(): number {
    return this.#tick
  }

  #settle(index: LogIndex, term: Term, waiter: ProposalWaiter): void {
    const applied = this.#replies.get(index)
    if (applied === undefined) waiter.failed(unknownError())
    else if (applied.term === term) waiter.committed(index, applied.reply)
    else waiter.failed(this.#refusal('notLeader'))
  }

  /** Whoever still waits for an answer cannot be told any more what its entry gave. */
  #forgetReplies(): void {
    this.#replies.clear()
    for (const [request, { waiter }] of this.#forwarded) {
      this.#forwarded.delete(request)
      waiter.failed(unknownError())
    }
  }

  #failWhere(isFailed: (forwarded: { readonly to: NodeId; readonly tick: number }) => boolean): void {
    for (const [request, proposal] of this.#forwarded) {
      if (!isFailed(proposal)) continue
      this.#forwarded.delete(request)
      proposal.waiter.failed(unknownError())
    }
    if (this.#forwarded.size === 0) this.#replies.clear()
    for (const [request, read] of this.#reads) {
      if (!isFailed(read)) continue
      this.#reads.delete(request)
      read.waiter.failed(this.#refusal('notLeader'))
    }
  }

  #refusal(reason: PeerRefusal): PlatformError {
    const { group } = this.#options
    const detail = { group }
    if (reason === 'overLimit') {
      return new PlatformError(ERROR_CODES.proposalDropped, `raft group ${group} has too much unfinished work; slow down and try again`, {
        detail,
      })
    }
    if (reason === 'stopping')
      return new PlatformError(ERROR_CODES.notLeader, `the leader of raft group ${group} is stopping; try again`, { detail })
    return new PlatformError(ERROR_CODES.notLeader, `the leader of raft group ${group} has changed; try again`, { detail })
  }
}
