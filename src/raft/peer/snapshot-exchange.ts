// SPDX-License-Identifier: Apache-2.0
// Snapshots between nodes, beside the log: sends the state of a group to a replica that lacks it, and puts a received one on disk until the
// group takes it over (R38-R41). At most a few each way at once, for all groups (M9).
import { messageOf } from '#base/error'
import type { Disk } from '#base/port/disk'
import type { Logger } from '#base/port/logger'
import type { PeerTransport } from '#base/port/peer-transport'
import { type GroupId, type LogIndex, type LogStart, NODE_NONE, type NodeId, type SnapshotOffer } from '../core/message.ts'
import type { StateMachine, StateSnapshot } from '../state-machine.ts'
import { decodeSnapshotHeader, encodeSnapshotHeader } from '../wire/message-codec.ts'
import type { SnapshotHeader } from '../wire/peer-message.ts'
import { readSnapshotFile, writeSnapshotFile } from './snapshot-file.ts'

/** Below the data directory. */
const DIRECTORY = 'snapshot'
const SENDS_MAX = 2
const RECEIVES_MAX = 2

/** A group as the exchange sees it. */
export interface SnapshotGroup {
  readonly id: GroupId
  readonly machine: StateMachine
  /** The offer that goes with a snapshot of the state at `index`; undefined when this replica does not lead any more. */
  offer(to: NodeId, index: LogIndex): SnapshotOffer | undefined
  /** The snapshot is durable there up to `index`, or has failed. */
  snapshotDone(to: NodeId, index: LogIndex | undefined): void
  /** Whether a snapshot like this is of any use here. */
  wouldInstall(offer: SnapshotOffer): boolean
  /** The snapshot is on this disk, or would not be installed. The leader is answered. Resolves when it is installed, or turned out to be superfluous. */
  offered(offer: SnapshotOffer): Promise<void>
}

export interface SnapshotPorts {
  readonly nodeId: NodeId
  readonly transport: PeerTransport
  readonly disk: Disk
  readonly logger: Logger
}

export class SnapshotExchange {
  readonly #nodeId: NodeId
  readonly #disk: Disk
  readonly #transport: PeerTransport
  readonly #logger: Logger
  readonly #group: (id: GroupId) => SnapshotGroup | undefined
  readonly #waiting: { readonly group: SnapshotGroup; readonly to: NodeId }[] = []
  #sends = 0
  readonly #receiving = new Set<GroupId>()

  constructor({ nodeId, disk, transport, logger }: SnapshotPorts, group: (id: GroupId) => SnapshotGroup | undefined) {
    this.#nodeId = nodeId
    this.#disk = disk
    this.#transport = transport
    this.#logger = logger
    this.#group = group
  }

  /** Prepares the directory: drops what was received only in part. Resolves with the groups whose state must be installed again. */
  async open(): Promise<readonly GroupId[]> {
    await this.#disk.makeDirectory(DIRECTORY)
    const names = await this.#disk.list(DIRECTORY)
    for (const name of names) if (name.endsWith('.part')) await this.#disk.remove(`${DIRECTORY}/${name}`)
    return names.filter((name) => name.endsWith('.install')).map((name) => Number(name.slice(0, -'.install'.length)))
  }

  /** Every send ends in `snapshotDone`, or else the progress of that replica would rest for ever (R40). */
  send(group: SnapshotGroup, to: NodeId): void {
    this.#waiting.push({ group, to })
    this.#sendNext()
  }

  /** To be called by the transport. Rejects when the snapshot is of no use, or there are too many. */
  async receive(from: NodeId, headerBytes: Buffer, chunks: AsyncIterable<Buffer>): Promise<void> {
    const { group: id, offer } = decodeSnapshotHeader(headerBytes, from, this.#nodeId)
    const group = this.#group(id)
    if (group === undefined) throw new Error(`group ${id} is not on this node`)
    if (!group.wouldInstall(offer)) {
      // The group says how much it has. A leader that did not know would offer this again and again, and never what follows.
      await group.offered(offer)
      throw new Error('the snapshot is not needed')
    }
    if (this.#receiving.has(id) || this.#receiving.size >= RECEIVES_MAX) throw new Error('too many snapshots at once')
    this.#receiving.add(id)
    try {
      this.#logger.log('info', 'receiving a snapshot', { group: id, from, index: offer.start.index })
      const bytes = await writeSnapshotFile(this.#disk, partName(id), headerBytes, chunks)
      await group.offered(offer)
      // It is gone when it was installed.
      if (await this.#disk.exists(partName(id))) await this.#disk.remove(partName(id))
      this.#logger.log('info', 'received a snapshot', { group: id, from, index: offer.start.index, bytes })
    } finally {
      this.#receiving.delete(id)
    }
  }

  /** Decides that the received snapshot of the group replaces its state, and does so. */
  async install(group: GroupId, machine: StateMachine): Promise<void> {
    await this.#disk.rename(partName(group), installName(group))
    await this.#disk.syncDirectory(DIRECTORY)
    await this.installAgain(group, machine)
  }

  /** Replaces the state by the snapshot that was decided for. Resolves with where the log of the group must begin. */
  async installAgain(group: GroupId, machine: StateMachine): Promise<LogStart> {
    const { header, chunks } = await readSnapshotFile(this.#disk, installName(group))
    const { start, formatVersion } = decodeSnapshotHeader(header, NODE_NONE, this.#nodeId).offer
    if (machine.install === undefined) throw new Error(`the state machine of group ${group} takes no snapshots`)
    await machine.install({ index: start.index, formatVersion, chunks })
    return start
  }

  /** State and log are of the snapshot now, durably. */
  async installed(group: GroupId): Promise<void> {
    await this.#disk.remove(installName(group))
    await this.#disk.syncDirectory(DIRECTORY)
  }

  #sendNext(): void {
    if (this.#sends >= SENDS_MAX) return
    const next = this.#waiting.shift()
    if (next === undefined) return
    this.#sends++
    void this.#send(next.group, next.to).then((index) => {
      this.#sends--
      next.group.snapshotDone(next.to, index)
      this.#sendNext()
    })
  }

  /** Never rejects: a peer that takes no snapshot now is offered another one later. */
  async #send(group: SnapshotGroup, to: NodeId): Promise<LogIndex | undefined> {
    let snapshot: StateSnapshot | undefined
    try {
      snapshot = await group.machine.snapshot?.()
      if (snapshot === undefined) return undefined
      const offer = group.offer(to, snapshot.index)
      if (offer === undefined) return undefined
      const header: SnapshotHeader = { group: group.id, offer: { ...offer, formatVersion: snapshot.formatVersion } }
      this.#logger.log('info', 'sending a snapshot', { group: group.id, to, index: snapshot.index })
      await this.#transport.sendSnapshot(to, encodeSnapshotHeader(header), snapshot.chunks)
      return snapshot.index
    } catch (error) {
      this.#logger.log('info', 'a snapshot was not taken', { group: group.id, to, reason: messageOf(error) })
      return undefined
    } finally {
      await snapshot?.close()
    }
  }
}

const partName = (group: GroupId): string => `${DIRECTORY}/${group}.part`
const installName = (group: GroupId): string => `${DIRECTORY}/${group}.install`
