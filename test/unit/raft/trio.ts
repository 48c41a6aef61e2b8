// SPDX-License-Identifier: Apache-2.0
// Three hosts of one group each in one process: a transport that the test can cut, clocks that the test ticks, and disks that remember.
import type { PeerTransport, TransportHandler } from '../../../src/base/port/peer-transport.ts'
import type { NodeId } from '../../../src/raft/core/message.ts'
import type { GroupDriver } from '../../../src/raft/group.ts'
import { RaftHost } from '../../../src/raft/host.ts'
import type { RaftGroup } from '../../../src/raft/raft-group.ts'
import { SimDisk } from '../../sim/disk.ts'
import { FakeLogStore, type FakePorts, fakePorts, Outcomes, RecordingMachine, settled } from './fakes.ts'

/** Frames arrive one turn after they were sent, unless the way is cut. */
export class Wire {
  readonly #handlers = new Map<NodeId, TransportHandler>()
  readonly #cut = new Set<string>()

  transport(node: NodeId): PeerTransport {
    return {
      start: async (handler) => {
        this.#handlers.set(node, handler)
      },
      send: (to, _traffic, frame) => {
        setImmediate(() => this.#deliver(node, to, frame))
      },
      sendSnapshot: async (to, header, chunks) => {
        const handler = this.#handlers.get(to)
        if (handler === undefined || this.#cut.has(`${node} ${to}`)) throw new Error('unreachable')
        await handler.onSnapshot(node, header, chunks)
      },
      setPeers: () => {},
      stop: async () => {
        this.#handlers.delete(node)
      },
    }
  }

  isolate(node: NodeId): void {
    for (const other of [1, 2, 3, 4]) for (const way of [`${node} ${other}`, `${other} ${node}`]) this.#cut.add(way)
  }

  heal(): void {
    this.#cut.clear()
  }

  #deliver(from: NodeId, to: NodeId, frame: Buffer): void {
    const handler = this.#handlers.get(to)
    if (handler === undefined || this.#cut.has(`${from} ${to}`)) this.#handlers.get(from)?.onUnreachable(to)
    else handler.onFrame(from, frame)
  }
}

export interface Member extends FakePorts {
  readonly id: NodeId
  readonly host: RaftHost
  readonly store: FakeLogStore
  readonly disk: SimDisk
  readonly machine: RecordingMachine
  readonly group: RaftGroup
  readonly outcomes: Outcomes
  readonly starting: Promise<void>
  /** Gives up the log up to where the state machine is. */
  readonly compact: () => Promise<void>
}

export class Trio {
  readonly wire = new Wire()
  readonly members = new Map<NodeId, Member>()

  /** A member is started by this; it waits for the others. */
  add(id: NodeId, kept: Partial<Pick<Member, 'store' | 'disk' | 'machine'>> = {}): Member {
    const fake = fakePorts()
    const disk = kept.disk ?? new SimDisk()
    const store = kept.store ?? new FakeLogStore()
    const machine = kept.machine ?? new RecordingMachine()
    let draws = id
    const random = {
      ...fake.ports.random,
      // Different from node to node, and from draw to draw.
      range: (min: number, max: number): number => {
        draws += 7
        return min + (draws % (max - min + 1))
      },
      stream: () => random,
    }
    const clock = { ...fake.ports.clock, endOfTurn: (fire: () => void) => fire() }
    const ports = { ...fake.ports, disk, random, clock }
    const host = new RaftHost(ports, { durable: store }, { nodeId: id, trailingBytes: 0 }, this.wire.transport(id))
    const group = host.createGroup({ id: 1, machine, store: 'durable', voters: [1, 2, 3] })
    const starting = host.start()
    starting.catch(() => {})
    const compact = (): Promise<void> => (group as GroupDriver).compact()
    const member = { ...fake, id, host, store, disk, machine, group, outcomes: new Outcomes(), starting, compact }
    this.members.set(id, member)
    return member
  }

  /** The process is gone; nothing of it is heard any more. What it wrote stays with the member. */
  kill(id: NodeId): Member {
    const member = this.member(id)
    this.members.delete(id)
    void this.wire.transport(id).stop()
    member.timers.length = 0
    return member
  }

  member(id: NodeId): Member {
    const member = this.members.get(id)
    if (member === undefined) throw new Error(`node ${id} is not running`)
    return member
  }

  /** Time passes for all members, one tick each at a time, until the condition holds. */
  async until(condition: () => boolean, ticksMax = 400): Promise<void> {
    for (let tick = 0; !condition(); tick++) {
      if (tick === ticksMax) throw new Error(`not so after ${ticksMax} ticks: ${this.describe()}`)
      for (const { timers } of this.members.values()) for (const fire of timers.splice(0)) fire()
      for (let turn = 0; turn < 4; turn++) await settled()
    }
  }

  async leader(): Promise<Member> {
    const leading = (): Member | undefined => [...this.members.values()].find(({ group }) => group.leads)
    await this.until(() => leading() !== undefined)
    return leading() as Member
  }

  describe(): string {
    const states = [...this.members.values()].map(({ id, group, machine, crashes }) => {
      const { role, term, leader, commit, applied, lastIndex } = group.status()
      return `${id} ${role} term ${term} leader ${leader} commit ${commit} applied ${applied} last ${lastIndex} [${machine.commands}] ${crashes}`
    })
    return states.join('; ')
  }
}
