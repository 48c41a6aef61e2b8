// SPDX-License-Identifier: Apache-2.0
// A node that replicates registers: production's host, log and core, with the plainest state machine above them.
import type { PeerTransport } from '#base/port/peer-transport'
import type { Ports } from '#base/port/ports'
import { FileLogStore, type NodeId, type RaftGroup, RaftHost } from '#raft'
import type { ClusterConfiguration } from './cluster-configuration.ts'
import type { Program } from './cluster-node.ts'
import { IdentifiedTransport } from './identified-transport.ts'
import { type LogObserver, ObservedLogStore } from './observed-log-store.ts'
import { type MachineObserver, RegisterMachine } from './register-machine.ts'

export const GROUP = 1

export interface RegisterProgram extends Program {
  readonly group: RaftGroup
  readonly machine: RegisterMachine
}

export interface RegisterObservers {
  readonly log: LogObserver
  readonly machine: MachineObserver
}

export function composeRegisters(
  node: NodeId,
  voters: readonly NodeId[],
  ports: Ports,
  transport: PeerTransport,
  { host: { segmentBytes, ...settings }, identified }: Pick<ClusterConfiguration, 'host' | 'identified'>,
  observers: RegisterObservers,
): RegisterProgram {
  const files = new FileLogStore(ports.disk, ports.clock, { directory: 'wal', segmentBytes, freeBytesMin: segmentBytes })
  const windowBytesMax = settings.uncommittedBytesMax * 2
  const stores = { durable: new ObservedLogStore(files, observers.log) }
  const guard = identified ? new IdentifiedTransport(node, ports, transport) : undefined
  const host = new RaftHost(ports, stores, { nodeId: node, windowBytesMax, ...settings }, guard ?? transport)
  const machine = new RegisterMachine(ports.kv, observers.machine)
  const group = host.createGroup({ id: GROUP, machine, store: 'durable', voters })
  return { components: guard === undefined ? [host] : [guard.identity, host], group, machine }
}
