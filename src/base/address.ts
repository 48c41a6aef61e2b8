// SPDX-License-Identifier: Apache-2.0
// Addresses of listeners: how they are written, and why one cannot be bound.
import { PlatformError } from './error.ts'
import { ERROR_CODES, type ErrorCode } from './error-code.ts'

/** '127.0.0.1:1883', or '[::1]:1883'. */
export const joinAddress = (host: string, port: number): string => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)

/** The host of a joined address: '192.0.2.1', or '::1'. Of what is none, ''. */
export const hostOf = (address: string): string => address.slice(0, Math.max(address.lastIndexOf(':'), 0)).replace(/^\[(.*)\]$/, '$1')

const NODE_ADDRESS = /^([\w.-]{1,253}|\[[\da-fA-F:.]+\]):([1-9]\d{0,4})$/

/** Whether it is a host and a port, as nodes are reached at. */
export const isNodeAddress = (address: string): boolean => Number(NODE_ADDRESS.exec(address)?.[2]) <= 65535

/** Whether only this machine can reach a listener on `host`. Any other name may be an address of the outside. */
export const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)

/** What the system says when it refuses to bind `address`, with what the reader can do. */
export function listenError(address: string, cause: Error & { readonly code?: string | undefined }): PlatformError {
  const options = { detail: { address, errno: cause.code ?? 'unknown' }, cause }
  const fail = (code: ErrorCode, why: string): PlatformError => new PlatformError(code, `cannot listen on ${address}: ${why}`, options)
  switch (cause.code) {
    case 'EADDRINUSE':
      return fail(ERROR_CODES.addressInUse, 'another process uses it; stop that process or configure another port')
    case 'EACCES':
      return fail(ERROR_CODES.configInvalid, 'not permitted; choose a port above 1023 or grant the right to bind it')
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return fail(ERROR_CODES.configInvalid, 'it is no address of this machine; configure one that is, or 0.0.0.0 for all')
    default:
      return fail(ERROR_CODES.internal, cause.message)
  }
}
