// SPDX-License-Identifier: Apache-2.0
// Keeps this node connected to the members there are: follows the addresses in the metadata, and puts there what it knows and they lack. A node registers here, too,
// so that all know which version its program has (R55).
//
// What meta_addrs of this node says of an address counts more than what the metadata says: when all nodes have moved, there is nobody to change the metadata.
import type { Component } from '#base/component'
import type { Config } from '#base/config/schema'
import { errorOf, isPlatformError } from '#base/error'
import type { Timer } from '#base/port/clock'
import type { NodeId, PeerTransport } from '#base/port/peer-transport'
import type { Ports } from '#base/port/ports'
import type { AppliedSignal } from '../applied-signal.ts'
import type { MetaService } from './meta-service.ts'

/** Between a change of the metadata and the look at it: a busy store is not looked at after each write. */
const LOOK_MS = 100
/** After an attempt to announce the own address that failed. */
const RETRY_MS = 5000

/** The addresses that a node remembers, so that it finds the others before they have elected a leader. */
export interface AddressBook {
  readonly addresses: ReadonlyMap<NodeId, string>
  /** Replaces them. Resolves when it is durable. */
  rememberAddresses(addresses: ReadonlyMap<NodeId, string>): Promise<void>
}

export interface MemberDirectoryOptions {
  /** Without one, nothing is remembered. */
  readonly book: AddressBook | undefined
  readonly transport: Pick<PeerTransport, 'setPeers'>
  /** Of the group of the metadata. */
  readonly signal: AppliedSignal
  /** The members of that group, learners included. */
  readonly members: () => readonly NodeId[]
}

export class MemberDirectory implements Component {
  readonly name = 'members'
  readonly #ports: Pick<Ports, 'clock' | 'logger' | 'crash'>
  readonly #meta: MetaService
  readonly #options: MemberDirectoryOptions
  readonly #self: NodeId
  readonly #configured: ReadonlyMap<NodeId, string>
  /** As last given to the transport. */
  #peers: ReadonlyMap<NodeId, string> = new Map()
  #remembered: ReadonlyMap<NodeId, string>
  #isStarted = false
  #isStopped = false
  #timer: Timer | undefined
  #retry: Timer | undefined
  #looking: Promise<void> | undefined
  /** Something may have changed since the look that is under way began. */
  #isDue = false
  #isAnnouncing = false
  readonly #stopListening: () => void

  /** Peers that were remembered or are configured are connected to from now on. */
  constructor(
    ports: Pick<Ports, 'clock' | 'logger' | 'crash'>,
    { nodeId, metaAddrs }: Config,
    meta: MetaService,
    options: MemberDirectoryOptions,
  ) {
    this.#ports = { ...ports, logger: ports.logger.scope('members') }
    this.#meta = meta
    this.#options = options
    this.#self = nodeId
    this.#configured = addressesOf(metaAddrs)
    this.#remembered = options.book?.addresses ?? new Map()
    this.#connect(new Map([...this.#remembered, ...this.#configured]))
    this.#stopListening = options.signal.listen(() => this.#lookSoon())
  }

  /** Rejects with dataVersion when the cluster has left this program behind. */
  async start(): Promise<void> {
    await this.#meta.registerNode(this.#self, this.#ports.clock.realtime())
    this.#isStarted = true
    this.#lookSoon()
  }

  interrupt(): void {
    this.#meta.interruptRegistration()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#stopListening()
    this.#timer?.cancel()
    this.#retry?.cancel()
    await this.#looking
  }

  #lookSoon(): void {
    this.#isDue = true
    if (this.#isStopped || this.#timer !== undefined || this.#looking !== undefined) return
    this.#timer = this.#ports.clock.after(LOOK_MS, () => {
      this.#timer = undefined
      this.#isDue = false
      this.#looking = this.#look().then(
        () => {
          this.#looking = undefined
          if (this.#isDue) this.#lookSoon()
        },
        (error: unknown) => this.#ports.crash(errorOf(error)),
      )
    })
  }

  async #look(): Promise<void> {
    const stored = await this.#meta.members.addresses()
    const members = this.#options.members()
    const isMember = members.includes(this.#self)
    const known = new Map([...this.#remembered, ...stored, ...this.#configured])
    // Who is removed is connected to no more. A node that is no member yet does not know who is.
    const peers = isMember ? new Map([...known].filter(([node]) => members.includes(node) || stored.has(node))) : known
    this.#connect(peers)
    if (!isMember) return
    await this.#remember(peers)
    if (this.#isStarted) this.#announce(stored, members)
  }

  #connect(addresses: ReadonlyMap<NodeId, string>): void {
    const peers = new Map([...addresses].filter(([node]) => node !== this.#self).sort(([a], [b]) => a - b))
    if (isSame(peers, this.#peers)) return
    this.#peers = peers
    this.#ports.logger.log('info', 'the other nodes', { addresses: [...peers].map(([node, address]) => `${node}=${address}`).join(',') })
    this.#options.transport.setPeers(peers)
  }

  async #remember(addresses: ReadonlyMap<NodeId, string>): Promise<void> {
    if (isSame(addresses, this.#remembered)) return
    this.#remembered = addresses
    await this.#options.book?.rememberAddresses(addresses)
  }

  /**
   * Every node knows its own address best, and tells the others, who may not have it in their configuration; also that of a member which could not do so
   * yet. Nobody waits for it.
   */
  #announce(stored: ReadonlyMap<NodeId, string>, members: readonly NodeId[]): void {
    const isNews = (node: NodeId, address: string): boolean =>
      node === this.#self ? stored.get(node) !== address : members.includes(node) && !stored.has(node)
    const news = [...this.#configured].filter(([node, address]) => isNews(node, address))
    if (news.length === 0 || this.#isAnnouncing) return
    this.#isAnnouncing = true
    Promise.all(news.map(([node, address]) => this.#meta.members.setAddress(node, address))).then(
      () => {
        this.#isAnnouncing = false
      },
      (error: unknown) => {
        this.#isAnnouncing = false
        if (!isPlatformError(error)) this.#ports.crash(errorOf(error))
        else if (!this.#isStopped) this.#announceLater(error.message)
      },
    )
  }

  #announceLater(reason: string): void {
    this.#ports.logger.log('debug', 'could not announce addresses yet', { reason })
    this.#retry?.cancel()
    this.#retry = this.#ports.clock.after(RETRY_MS, () => this.#lookSoon())
  }
}

const addressesOf = (nodes: Config['metaAddrs']): ReadonlyMap<NodeId, string> => new Map(nodes.map(({ node, address }) => [node, address]))

const isSame = (some: ReadonlyMap<NodeId, string>, others: ReadonlyMap<NodeId, string>): boolean =>
  some.size === others.size && [...some].every(([node, address]) => others.get(node) === address)
