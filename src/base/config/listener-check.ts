// SPDX-License-Identifier: Apache-2.0
// What must hold between the keys of listeners.
import { isLoopback } from '../address.ts'
import { isTls, isWebSocket, type ListenerSettings, listenersOf } from './listener.ts'
import type { Conflict } from './problem.ts'
import { type Config, rowPath } from './schema.ts'

export function checkListeners(config: Config, isSet: (path: string) => boolean): readonly Conflict[] {
  const listeners = listenersOf(config)
  const further = listeners.slice(listeners.length - config.listener.length)
  return [
    ...checkExposure(config, listeners, isSet),
    ...checkTls(config),
    ...config.listener.flatMap((row, index) => checkRow(row, further[index] as ListenerSettings, rowPath('listener', index))),
    ...checkNames(config),
  ]
}

/** DESIGN 7: a listener that others can reach, without authentication, must have been asked for. */
function checkExposure(
  { security }: Config,
  listeners: readonly ListenerSettings[],
  isSet: (path: string) => boolean,
): readonly Conflict[] {
  if (isSet('security.allow_anonymous') || security.users.length > 0) return []
  const expected =
    'a loopback address such as "127.0.0.1", because clients need no credentials; give [[security.users]], or to let anyone who reaches this address connect, set security.allow_anonymous = true'
  const exposed = listeners
    .filter(({ host, admission }) => !isLoopback(host) && admission.allowAnonymous === undefined)
    .map(({ hostPath }) => hostPath)
  return [...new Set(exposed)].map((path) => ({ path, expected }))
}

function checkTls({ tls }: Config): readonly Conflict[] {
  if (tls.cert === '' && tls.key !== '') return [{ path: 'tls.cert', expected: 'a certificate, because tls.key is set' }]
  if (tls.cert !== '' && tls.key === '') return [{ path: 'tls.key', expected: 'a private key, because tls.cert is set' }]
  if (tls.verifyClient === 'none' || tls.ca !== '') return []
  return [{ path: 'tls.ca', expected: `a file, because tls.verify_client is "${tls.verifyClient}"` }]
}

/** A key that has no effect is a misunderstanding: somebody believes that it protects something. */
function checkRow(row: Config['listener'][number], settings: ListenerSettings, path: string): readonly Conflict[] {
  const fail = (expected: string): readonly Conflict[] => [{ path, expected }]
  const { transport } = row
  if (!isWebSocket(transport) && (row.path !== undefined || row.origins !== undefined)) {
    return fail(`neither path nor origins, because "${transport}" is no WebSocket`)
  }
  if (!isTls(transport)) {
    const isSecured = [row.cert, row.key, row.ca, row.verifyClient, row.identity].some((value) => value !== undefined)
    return isSecured ? fail(`none of cert, key, ca, verify_client and identity, because "${transport}" is without TLS`) : []
  }
  const { tls } = settings
  if (tls === undefined) return fail('cert and key, both here or both in [tls]')
  return tls.verifyClient !== 'none' && tls.ca === undefined ? fail(`ca, because verify_client is "${tls.verifyClient}"`) : []
}

function checkNames({ listener }: Config): readonly Conflict[] {
  const names = ['tcp', 'tls', 'ws', 'wss', ...listener.map(({ name }) => name)]
  const first = names.length - listener.length
  return listener.flatMap(({ name }, index) =>
    names.indexOf(name) < first + index
      ? [
          {
            path: `${rowPath('listener', index)}.name`,
            expected: 'a name that no other listener has; those of [mqtt] are tcp, tls, ws and wss',
          },
        ]
      : [],
  )
}
