// SPDX-License-Identifier: Apache-2.0
// The command line of `robustmq ctl`.
import { isNodeAddress } from '#base/address'
import { parseDuration } from '#base/config/duration'
import type { NodeId } from '#base/port/peer-transport'

/** What is to be done in the cluster. */
export type ClusterOrder =
  | { readonly action: 'status' }
  | { readonly action: 'add'; readonly node: NodeId; readonly address: string }
  | { readonly action: 'promote' | 'remove'; readonly node: NodeId }
  /** Of all groups, or of one. */
  | { readonly action: 'transfer'; readonly node: NodeId; readonly group: number | undefined }

export interface CtlOptions {
  /** Path of a configuration file of a node of the cluster; undefined for none. */
  readonly file: string | undefined
  /** 'section.key=value', in order. */
  readonly settings: readonly string[]
  /** Whom to ask first; the nodes of meta_addrs when undefined. Its address, when meta_addrs does not have it. */
  readonly via: { readonly node: NodeId; readonly address: string | undefined } | undefined
  readonly timeoutMs: number
  readonly isJson: boolean
}

export type CtlCommand = { readonly kind: 'ctl'; readonly order: ClusterOrder; readonly options: CtlOptions }

export type CtlParsing = CtlCommand | { readonly kind: 'ctl-misused'; readonly problem: string } | { readonly kind: 'ctl-help' }

export const CTL_USAGE = `Usage: robustmq ctl cluster COMMAND [--config FILE] [--set section.key=value]... [--node ID[=HOST:PORT]] [--timeout 60s] [--json]

  status                        nodes, groups, leaders, and what is wrong
  add NODE HOST:PORT            make a node that is started with join = true a learner of every group; the others reach it at that address
  promote NODE                  give a learner its vote, once it has caught up
  remove NODE                   take a node, running or lost, out of every group; its id is never used again
  transfer NODE [--group ID]    let a node lead every group, or one

  --config FILE, --set          meta_addrs, cluster_name, node_id, and secret or certificates in [cluster], as a node of the cluster has them
  --node ID[=HOST:PORT]         ask this node first; with its address when meta_addrs does not name it
  --timeout DURATION            give up a change after so long (default 60s)
  --json                        JSON on standard output

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. A change that failed may be given again: what is done already is left as it is.
`

const TIMEOUT_MS = 60_000
const NODE_ID = /^[1-9]\d{0,4}$/
const NODE_ID_MAX = 65_535

/** `words` are those after `ctl`. */
export function parseCtl(words: readonly string[]): CtlParsing {
  const names: string[] = []
  const settings: string[] = []
  const given = new Map<string, string>()
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? ''
    if (!word.startsWith('-')) {
      names.push(word)
      continue
    }
    const [option, attached] = split(word)
    if (option === '--help' || option === '-h') return { kind: 'ctl-help' }
    if (option !== '--json' && !WITH_VALUE.includes(option)) return misused(`${option} is not an option of ctl`)
    const value = option === '--json' ? 'true' : (attached ?? words[++at])
    if (value === undefined || value === '') return misused(`${option} needs a value`)
    if (option === '--set') settings.push(value)
    else if (given.has(option)) return misused(`${option} is given twice`)
    else given.set(option, value)
  }
  const order = orderOf(names, given.get('--group'))
  if (typeof order === 'string') return misused(order)
  const via = viaOf(given.get('--node'))
  if (via === 'invalid') return misused('--node takes the id of a node, or ID=HOST:PORT')
  const timeoutMs = given.has('--timeout') ? parseDuration(given.get('--timeout') ?? '') : TIMEOUT_MS
  if (timeoutMs === undefined) return misused('--timeout takes a duration, such as 90s')
  return { kind: 'ctl', order, options: { file: given.get('--config'), settings, via, timeoutMs, isJson: given.has('--json') } }
}

const WITH_VALUE: readonly string[] = ['--config', '--set', '--node', '--timeout', '--group']

/** The order, or what is wrong with it. */
function orderOf([noun, action, ...operands]: readonly string[], group: string | undefined): ClusterOrder | string {
  if (noun !== 'cluster') return noun === undefined ? 'ctl needs a command' : `ctl ${noun} is not a command`
  if (group !== undefined && (action !== 'transfer' || !/^\d{1,9}$/.test(group)))
    return '--group takes the id of a group, and goes with transfer'
  if (action === 'status') return operands.length === 0 ? { action } : 'ctl cluster status takes nothing more'
  const node = nodeOf(operands[0])
  switch (action) {
    case 'add': {
      const address = operands[1] ?? ''
      if (operands.length !== 2 || node === undefined || !isNodeAddress(address)) return 'ctl cluster add takes NODE HOST:PORT'
      return { action, node, address }
    }
    case 'promote':
    case 'remove':
      return operands.length === 1 && node !== undefined ? { action, node } : `ctl cluster ${action} takes NODE`
    case 'transfer':
      if (operands.length !== 1 || node === undefined) return 'ctl cluster transfer takes NODE'
      return { action, node, group: group === undefined ? undefined : Number(group) }
    default:
      return action === undefined ? 'ctl cluster needs a command' : `ctl cluster ${action} is not a command`
  }
}

function nodeOf(word: string | undefined): NodeId | undefined {
  const node = Number(NODE_ID.exec(word ?? '')?.[0])
  return node <= NODE_ID_MAX ? node : undefined
}

function viaOf(word: string | undefined): CtlOptions['via'] | 'invalid' {
  if (word === undefined) return undefined
  const [id, address] = split(word)
  const node = nodeOf(id)
  return node === undefined || (address !== undefined && !isNodeAddress(address)) ? 'invalid' : { node, address }
}

/** At the first '='. */
function split(word: string): readonly [string, string | undefined] {
  const at = word.indexOf('=')
  return at === -1 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)]
}

const misused = (problem: string): CtlParsing => ({ kind: 'ctl-misused', problem })
