// SPDX-License-Identifier: Apache-2.0
// What all sockets have in common, whatever is spoken on them.
import type { Socket } from 'node:net'
import { joinAddress } from '#base/address'

/**
 * Node tells 'drain' only when the queue had reached this many bytes, the port whenever anything had to wait. It is also the mark for reading,
 * where it changes nothing: chunks are handed on as they come.
 */
export const HIGH_WATER_BYTES = 1

/** Time for what comes before a connection is one of the application's: a TLS handshake, a WebSocket upgrade; for each of them. */
export const HANDSHAKE_MS_MAX = 15_000

/** A peer that has already gone away has no address. */
export const remoteOf = (socket: Socket): string => joinAddress(socket.remoteAddress ?? 'unknown', socket.remotePort ?? 0)

export const destroySocket = (socket: Socket): void => {
  socket.destroy()
}
