// SPDX-License-Identifier: Apache-2.0
// Which requests for a WebSocket are refused, and how. What the handshake itself demands (RFC 6455, 4.2.1) the package `ws` checks.
import type { IncomingMessage } from 'node:http'
import type { WebSocketOptions } from '#base/port/network'

export interface Refusal {
  readonly status: number
  /** For the log. */
  readonly reason: string
  readonly headers: Readonly<Record<string, string>>
}

const refusal = (status: number, reason: string, headers: Readonly<Record<string, string>> = {}): Refusal =>
  Object.freeze({ status, reason, headers })

export const WRONG_PATH = refusal(404, 'the path is another one')
export const UPGRADE_REQUIRED = refusal(426, 'it asks for no upgrade', { Connection: 'Upgrade, close', Upgrade: 'websocket' })
export const UNAVAILABLE = refusal(503, 'the node stops')
const WRONG_ORIGIN = refusal(403, 'the page comes from an origin that is not in the list')
const WRONG_PROTOCOL = refusal(400, 'the client does not offer the subprotocol mqtt [MQTT-6.0.0-3]')

/** The current name [MQTT-6.0.0-4], and the one that clients of 3.1 use. */
const PROTOCOLS = ['mqtt', 'mqttv3.1'] as const

/** Undefined for a request that may be upgraded. */
export function refusalOf(request: IncomingMessage, { path, origins }: WebSocketOptions): Refusal | undefined {
  if (pathOf(request) !== path) return WRONG_PATH
  const { origin, 'sec-websocket-protocol': protocols } = request.headers
  if (origin !== undefined && origins.length > 0 && !origins.includes(origin.toLowerCase())) return WRONG_ORIGIN
  const offered = new Set(protocols?.split(',').map((name) => name.trim()))
  return protocolOf(offered) === undefined ? WRONG_PROTOCOL : undefined
}

/** The subprotocol that is spoken with a client that offers these. */
export const protocolOf = (offered: ReadonlySet<string>): string | undefined => PROTOCOLS.find((name) => offered.has(name))

/** Without the query, which some clients use for tokens. */
export const pathOf = ({ url = '' }: IncomingMessage): string => url.split('?', 1)[0] as string
