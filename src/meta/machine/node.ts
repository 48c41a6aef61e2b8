// SPDX-License-Identifier: Apache-2.0
// Nodes of the cluster, their lives, and the version that all of them know. Each registration is a new life, with a boot epoch above all before.
import { assertNever } from '#base/assert'
import { decodeClusterVersion, encodeClusterVersion } from '../codec/cluster-version-codec.ts'
import type { GroupKeys } from '../codec/key.ts'
import { decodeNode, encodeNode } from '../codec/node-codec.ts'
import { COMMAND } from '../command/command.ts'
import {
  decodeNodeCommand,
  type NodeCommand,
  type RaiseClusterVersionCommand,
  type RegisterNodeCommand,
  type RegisterReply,
} from '../command/node-command.ts'
import type { Machine, ReadSet, StateView } from './state-machine.ts'

export class NodeMachine implements Machine<NodeCommand> {
  readonly commandTypes = [COMMAND.registerNode, COMMAND.raiseClusterVersion]
  readonly #keys: GroupKeys

  constructor(keys: GroupKeys) {
    this.#keys = keys
  }

  decode(type: number, body: Buffer): NodeCommand {
    return decodeNodeCommand(type, body)
  }

  declareReads(command: NodeCommand, reads: ReadSet): void {
    reads.key(this.#keys.clusterVersion)
    for (const node of command.kind === 'raise' ? command.members : [command.node]) reads.key(this.#keys.node(node))
  }

  apply(command: NodeCommand, view: StateView): unknown {
    switch (command.kind) {
      case 'register':
        return this.#register(command, view)
      case 'raise':
        return this.#raise(command, view)
      default:
        return assertNever(command)
    }
  }

  #register({ node, nowMs, programVersion }: RegisterNodeCommand, view: StateView): RegisterReply {
    const key = this.#keys.node(node)
    const stored = view.get(key)
    const bootEpoch = stored === undefined ? 1 : decodeNode(stored).bootEpoch + 1
    view.put(key, encodeNode({ bootEpoch, registeredAtMs: nowMs, programVersion }))
    return { bootEpoch, clusterVersion: this.#version(view) }
  }

  #raise({ version, members }: RaiseClusterVersionCommand, view: StateView): number {
    const current = this.#version(view)
    if (version <= current || !members.every((node) => this.#knows(node, version, view))) return current
    view.put(this.#keys.clusterVersion, encodeClusterVersion(version))
    return version
  }

  #knows(node: number, version: number, view: StateView): boolean {
    const stored = view.get(this.#keys.node(node))
    return stored !== undefined && decodeNode(stored).programVersion >= version
  }

  #version(view: StateView): number {
    return decodeClusterVersion(view.get(this.#keys.clusterVersion))
  }
}
