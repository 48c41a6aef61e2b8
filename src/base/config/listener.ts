// SPDX-License-Identifier: Apache-2.0
// The listeners that a configuration asks for: those of [mqtt] and those of [[listener]].
import type { Transport, VerifyClient } from '../port/network.ts'
import { type Config, rowPath } from './schema.ts'

/** What a listener says on who is let in. Undefined: what holds for the node. */
export interface ListenerAdmission {
  readonly allowAnonymous: boolean | undefined
  /** Which name of a client certificate is the user name. */
  readonly identity: 'none' | 'cn' | 'dn' | undefined
  /** Ways to authenticate; undefined for all. */
  readonly authenticators: readonly string[] | undefined
}

/** Of listeners that say nothing of their own. */
export const ADMISSION_OF_NODE: ListenerAdmission = Object.freeze({
  allowAnonymous: undefined,
  identity: undefined,
  authenticators: undefined,
})

export interface ListenerSettings {
  /** Those of [mqtt] are named after their transport. */
  readonly name: string
  readonly transport: Transport
  readonly host: string
  readonly port: number
  /** For WebSocket. */
  readonly path: string
  /** For WebSocket; empty for all. */
  readonly origins: readonly string[]
  readonly connectionsMax: number
  readonly admission: ListenerAdmission
  /** Messages and bytes a second of all its connections; 0: no limit. */
  readonly maxMessageRate: number
  readonly maxByteRate: number
  /** There for 'tls' and 'wss', unless the configuration is refused for the lack of it. */
  readonly tls: TlsSettings | undefined
  /** The key that says where it listens, for messages. */
  readonly hostPath: string
}

/** Names of files. */
export interface TlsSettings {
  readonly pair: KeyPairFiles
  readonly others: readonly KeyPairFiles[]
  readonly ca: string | undefined
  readonly verifyClient: VerifyClient
}

export interface KeyPairFiles {
  readonly cert: string
  readonly key: string
}

export const isTls = (transport: Transport): boolean => transport === 'tls' || transport === 'wss'
export const isWebSocket = (transport: Transport): boolean => transport === 'ws' || transport === 'wss'

export const listenersOf = (config: Config): readonly ListenerSettings[] => [...simpleListeners(config), ...furtherListeners(config)]

/** Those of [mqtt] that have a port but no certificate, and therefore are not open. */
export const closedListeners = ({ mqtt, tls }: Config): readonly Transport[] =>
  hasPair(tls) ? [] : portsOf(mqtt).flatMap(([transport, port]) => (isTls(transport) && port !== 0 ? [transport] : []))

const portsOf = ({ tcpPort, tlsPort, wsPort, wssPort }: Config['mqtt']): readonly (readonly [Transport, number])[] => [
  ['tcp', tcpPort],
  ['tls', tlsPort],
  ['ws', wsPort],
  ['wss', wssPort],
]

function simpleListeners({ mqtt, tls }: Config): readonly ListenerSettings[] {
  return portsOf(mqtt).flatMap(([transport, port]): readonly ListenerSettings[] => {
    if (port === 0 || (isTls(transport) && !hasPair(tls))) return []
    const listener = {
      name: transport,
      transport,
      host: mqtt.bind,
      port,
      path: mqtt.wsPath,
      origins: [],
      connectionsMax: mqtt.connectionsMax,
      admission: ADMISSION_OF_NODE,
      maxMessageRate: 0,
      maxByteRate: 0,
      tls: isTls(transport) ? tlsOf({}, tls) : undefined,
      hostPath: 'mqtt.bind',
    }
    return [listener]
  })
}

const furtherListeners = ({ mqtt, tls, listener }: Config): readonly ListenerSettings[] =>
  listener.map((row, index) => ({
    name: row.name,
    transport: row.transport,
    host: row.bind ?? mqtt.bind,
    port: row.port,
    path: row.path ?? mqtt.wsPath,
    origins: row.origins ?? [],
    connectionsMax: row.connectionsMax ?? mqtt.connectionsMax,
    admission: admissionOf(row),
    maxMessageRate: row.maxMessageRate ?? 0,
    maxByteRate: row.maxByteRate ?? 0,
    tls: isTls(row.transport) ? tlsOf(row, tls) : undefined,
    hostPath: row.bind === undefined ? 'mqtt.bind' : `${rowPath('listener', index)}.bind`,
  }))

export const admissionOf = ({ allowAnonymous, identity, authenticators }: Config['listener'][number]): ListenerAdmission => ({
  allowAnonymous,
  identity,
  authenticators,
})

/** A listener that shows a certificate of its own takes both parts of it from its table. */
function tlsOf(own: Partial<Config['listener'][number]>, tls: Config['tls']): TlsSettings | undefined {
  const pair = own.cert === undefined && own.key === undefined ? tls : own
  if (!hasPair(pair)) return undefined
  return {
    pair: { cert: pair.cert, key: pair.key },
    others: tls.certificates,
    ca: own.ca ?? (tls.ca === '' ? undefined : tls.ca),
    verifyClient: own.verifyClient ?? tls.verifyClient,
  }
}

const hasPair = (pair: { readonly cert?: string; readonly key?: string }): pair is KeyPairFiles =>
  (pair.cert ?? '') !== '' && (pair.key ?? '') !== ''
