// SPDX-License-Identifier: Apache-2.0
// Carries one order out, and tells how it went. Results go to standard output, what happens meanwhile to standard error.
import { isPlatformError } from '#base/error'
import type { Clock } from '#base/port/clock'
import type { NodeId } from '#base/port/peer-transport'
import type { ClusterOrder, CtlCommand } from './arguments.ts'
import { ClusterChange } from './cluster-change.ts'
import { type ClusterAccess, ClusterLook, type ClusterPicture } from './cluster-look.ts'
import { clusterText } from './output.ts'

export interface CtlOutput {
  /** Whole texts, with the end of the line. */
  out(text: string): void
  err(text: string): void
}

/** Whether it was done. */
export async function runCtl(
  { order, options }: CtlCommand,
  addresses: ReadonlyMap<NodeId, string>,
  access: ClusterAccess,
  clock: Clock,
  { out, err }: CtlOutput,
): Promise<boolean> {
  const { isJson, timeoutMs } = options
  try {
    const look = new ClusterLook(access, addresses)
    if (order.action === 'status') {
      const picture = await look.look()
      out(isJson ? jsonLine(picture) : clusterText(picture))
      return true
    }
    const change = new ClusterChange(look, access, clock, { timeoutMs, say: (line) => err(`${line}\n`) })
    const outcome = await carryOut(order, change)
    out(isJson ? jsonLine({ done: true, ...order, outcome }) : `${outcome}\n`)
    return true
  } catch (error) {
    if (!isPlatformError(error)) throw error
    if (isJson) out(jsonLine({ done: false, ...order, code: error.code.name, problem: error.message }))
    else err(`robustmq: cluster ${order.action}: ${error.message}\n`)
    return false
  }
}

type ChangeOrder = Exclude<ClusterOrder, { readonly action: 'status' }>

function carryOut(order: ChangeOrder, change: ClusterChange): Promise<string> {
  switch (order.action) {
    case 'add':
      return change.add(order.node, order.address)
    case 'promote':
      return change.promote(order.node)
    case 'remove':
      return change.remove(order.node)
    case 'transfer':
      return change.transfer(order.node, order.group)
  }
}

const jsonLine = (value: ClusterPicture | Readonly<Record<string, unknown>>): string => `${JSON.stringify(value)}\n`
