// SPDX-License-Identifier: Apache-2.0
// Connects a command of the operator with the nodes that the configuration names.
import type { Config } from '#base/config/schema'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Logger } from '#base/port/logger'
import { type CtlCommand, type CtlOutput, runCtl } from '#cli'
import { RpcAdminClient } from '#meta'
import { CryptoRandom, NodeClock, NodeFileReader } from '#runtime'
import { createOperatorClient } from '#server'
import { linkOptions } from './cluster-grpc.ts'

/** Whether it was done. Rejects with configInvalid, also for certificates that cannot be used. */
export async function runOperatorCommand(command: CtlCommand, config: Config, output: CtlOutput): Promise<boolean> {
  const { via } = command.options
  const configured = new Map(config.metaAddrs.map(({ node, address }) => [node, address]))
  const addresses = via === undefined ? configured : new Map([[via.node, via.address ?? configured.get(via.node) ?? '']])
  if ([...addresses.values()].includes('') || addresses.size === 0)
    throw new PlatformError(
      ERROR_CODES.configInvalid,
      via === undefined
        ? 'meta_addrs names no node to ask: give --config FILE of a node of the cluster, or --node ID=HOST:PORT'
        : `meta_addrs does not say where node ${via.node} is: give --node ${via.node}=HOST:PORT`,
    )
  const clock = new NodeClock()
  const ports = { clock, random: new CryptoRandom(), logger: SILENT }
  const operator = createOperatorClient(ports, config, await linkOptions(new NodeFileReader(), config))
  try {
    const admin = (node: number, deadlineMs: number): RpcAdminClient => new RpcAdminClient(operator.client, node, deadlineMs)
    return await runCtl(command, addresses, { admin, setPeers: (peers) => operator.setPeers(peers) }, clock, output)
  } finally {
    operator.close()
  }
}

/** What there is to say about a node that cannot be reached is said where it matters. */
const SILENT: Logger = { log: () => undefined, scope: () => SILENT }
