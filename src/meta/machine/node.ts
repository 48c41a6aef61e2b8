// SPDX-License-Identifier: Apache-2.0
// Nodes of the cluster and their lives. Each registration is a new life, with a boot epoch above all before.
import type { GroupKeys } from '../codec/key.ts'
import { decodeNode, encodeNode } from '../codec/node-codec.ts'
import { COMMAND } from '../command/command.ts'
import { decodeNodeCommand, type NodeCommand } from '../command/node-command.ts'
import type { Machine, ReadSet, StateView } from './state-machine.ts'

export class NodeMachine implements Machine<NodeCommand> {
  readonly commandTypes = [COMMAND.registerNode]
  readonly #keys: GroupKeys

  constructor(keys: GroupKeys) {
    this.#keys = keys
  }

  decode(_type: number, body: Buffer): NodeCommand {
    return decodeNodeCommand(body)
  }

  declareReads(command: NodeCommand, reads: ReadSet): void {
    reads.key(this.#keys.node(command.node))
  }

  apply(command: NodeCommand, view: StateView): number {
    const key = this.#keys.node(command.node)
    const stored = view.get(key)
    const bootEpoch = stored === undefined ? 1 : decodeNode(stored).bootEpoch + 1
    view.put(key, encodeNode({ bootEpoch, registeredAtMs: command.nowMs }))
    return bootEpoch
  }
}
