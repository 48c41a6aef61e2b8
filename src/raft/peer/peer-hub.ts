// SPDX-License-Identifier: Apache-2.0
// Where the groups of this node meet the other nodes: what they send leaves at the end of each job in one frame for each peer and class of traffic,
// and what arrives goes to its group.
import { messageOf } from '#base/error'
import type { Disk } from '#base/port/disk'
import type { Logger } from '#base/port/logger'
import type { PeerTransport, TransportHandler } from '#base/port/peer-transport'
import { refuseLostLog } from '../amnesia.ts'
import type { GroupId, LogStart, NodeId } from '../core/message.ts'
import type { StateMachine } from '../state-machine.ts'
import { decodeFrame } from '../wire/message-codec.ts'
import type { PeerMessage } from '../wire/peer-message.ts'
import type { PeerLink } from './group-peers.ts'
import { Outbox } from './outbox.ts'
import { SnapshotExchange, type SnapshotGroup } from './snapshot-exchange.ts'

/** A group as the hub sees it. */
export interface PeerGroup extends SnapshotGroup {
  onMessage(from: NodeId, message: PeerMessage): void
  unreachable(node: NodeId): void
  /** Gives everything that may leave now to its link. */
  emit(): void
}

export interface PeerHubPorts {
  readonly nodeId: NodeId
  readonly transport: PeerTransport
  readonly disk: Disk
  readonly logger: Logger
}

export class PeerHub implements TransportHandler {
  readonly #ports: PeerHubPorts
  readonly #outbox: Outbox
  readonly #snapshots: SnapshotExchange
  readonly #groups = new Map<GroupId, PeerGroup>()
  #dirty = new Set<PeerGroup>()
  #scheduled = false
  #started = false

  constructor(ports: PeerHubPorts) {
    this.#ports = ports
    this.#outbox = new Outbox(ports.transport)
    this.#snapshots = new SnapshotExchange(ports, (id) => this.#groups.get(id))
  }

  add(group: PeerGroup): void {
    this.#groups.set(group.id, group)
  }

  /** The way to the peers for a group that is added before it is used. */
  link(id: GroupId, machine: StateMachine): PeerLink {
    return {
      schedule: () => {
        const group = this.#groups.get(id)
        if (group !== undefined) this.#dirty.add(group)
        this.#schedule()
      },
      send: (to, message) => {
        this.#outbox.push(to, message)
        this.#schedule()
      },
      sendSnapshot: (to) => {
        const group = this.#groups.get(id)
        if (group !== undefined) this.#snapshots.send(group, to)
      },
      install: () => this.#snapshots.install(id, machine),
      installed: () => this.#snapshots.installed(id),
    }
  }

  /**
   * Finishes the installations that a crash has broken off. Resolves with where the logs of those groups must begin; rejects with dataDamaged on a node
   * that must not meet the others any more (R46).
   */
  async recover(machineOf: (id: GroupId) => StateMachine | undefined): Promise<ReadonlyMap<GroupId, LogStart>> {
    await refuseLostLog(this.#ports.disk, this.#ports.nodeId)
    const starts = new Map<GroupId, LogStart>()
    for (const id of await this.#snapshots.open()) {
      const machine = machineOf(id)
      if (machine !== undefined) starts.set(id, await this.#snapshots.installAgain(id, machine))
    }
    return starts
  }

  /** The log of the group begins where its snapshot ends. */
  recovered(id: GroupId): Promise<void> {
    return this.#snapshots.installed(id)
  }

  async start(): Promise<void> {
    this.#started = true
    await this.#ports.transport.start(this)
    this.#schedule()
  }

  stop(): Promise<void> {
    this.#started = false
    return this.#ports.transport.stop()
  }

  onFrame(from: NodeId, frame: Buffer): void {
    for (const message of decodeFrame(frame, from, this.#ports.nodeId)) this.#groups.get(message.group)?.onMessage(from, message)
  }

  onUnreachable(node: NodeId): void {
    for (const group of this.#groups.values()) group.unreachable(node)
  }

  async onSnapshot(from: NodeId, header: Buffer, chunks: AsyncIterable<Buffer>): Promise<void> {
    try {
      await this.#snapshots.receive(from, header, chunks)
    } catch (error) {
      this.#ports.logger.log('info', 'did not take a snapshot', { from, reason: messageOf(error) })
      throw error
    }
  }

  #schedule(): void {
    if (this.#scheduled || !this.#started) return
    this.#scheduled = true
    queueMicrotask(() => this.#flush())
  }

  #flush(): void {
    this.#scheduled = false
    if (!this.#started) return
    const dirty = this.#dirty
    this.#dirty = new Set()
    for (const group of dirty) group.emit()
    this.#outbox.flush()
  }
}
