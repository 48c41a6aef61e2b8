// SPDX-License-Identifier: Apache-2.0
// The TLS side of a listener: handshakes, choice of the certificate, and who may come in.
import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { must } from '#base/assert'
import type { Logger } from '#base/port/logger'
import type { ClientCertificate, TlsMaterial, VerifyClient } from '#base/port/network'
import { clientCertificateOf } from './client-certificate.ts'
import { Complaint } from './complaint.ts'
import { HANDSHAKE_MS_MAX, HIGH_WATER_BYTES, remoteOf } from './socket.ts'
import { contextFor, type Identities, prepareIdentities } from './tls-material.ts'

const COMPLAINT_MS_MIN = 60_000

export interface TlsFrontOptions {
  readonly tls: TlsMaterial
  readonly verifyClient: VerifyClient
  /** What is spoken inside, as ALPN names it. A client that asks for something else by name is refused (RFC 7301). */
  readonly protocol: 'mqtt' | 'http/1.1'
}

/** What `admit` found. */
export type Admission = { readonly kind: 'admitted'; readonly certificate: ClientCertificate | undefined } | { readonly kind: 'refused' }

const REFUSED: Admission = Object.freeze({ kind: 'refused' })
const UNKNOWN: Admission = Object.freeze({ kind: 'admitted', certificate: undefined })

export class TlsFront {
  /** Tells 'secureConnection' of each socket whose handshake is done. */
  readonly server: Server
  readonly #verifyClient: VerifyClient
  readonly #complaint: Complaint
  #identities: Identities

  /** Throws configInvalid. */
  constructor({ tls, verifyClient, protocol }: TlsFrontOptions, logger: Logger) {
    this.#verifyClient = verifyClient
    this.#complaint = new Complaint(logger, 'info', 'a TLS handshake failed', COMPLAINT_MS_MIN)
    this.#identities = prepareIdentities(tls)
    this.server = createServer({
      ...this.#identities.options,
      noDelay: true,
      handshakeTimeout: HANDSHAKE_MS_MAX,
      ALPNProtocols: [protocol],
      requestCert: verifyClient !== 'none',
      rejectUnauthorized: verifyClient === 'required',
      SNICallback: (host, done) => done(null, contextFor(this.#identities, host)),
    })
    this.server.on('tlsClientError', (error, socket) => this.#fail(socket, String(socket.authorizationError ?? error.message)))
  }

  /** Throws configInvalid, and nothing changes. Tickets of earlier sessions are worth nothing from here on, so that everybody is verified anew. */
  setTls(tls: TlsMaterial): void {
    this.#identities = prepareIdentities(tls)
    this.server.setSecureContext(this.#identities.options)
  }

  /** Decides about a socket whose handshake is done. One that is refused is closed. */
  admit(socket: TLSSocket): Admission {
    lowerHighWater(socket)
    if (this.#verifyClient === 'none') return UNKNOWN
    const certificate = clientCertificateOf(socket)
    if (certificate === undefined || socket.authorized) return { kind: 'admitted', certificate }
    // Optional means that there may be none, not that it may be anybody's.
    this.#fail(socket, String(socket.authorizationError))
    return REFUSED
  }

  #fail(socket: TLSSocket, error: string): void {
    this.#complaint.say({ remote: remoteOf(socket), error })
    socket.destroy()
  }
}

/** A TLS server has no option for the mark of its sockets, and Node's own leaves an owner waiting for a drain that never comes. */
function lowerHighWater(socket: Socket): void {
  const { _writableState: state } = socket as unknown as { readonly _writableState?: { highWaterMark: number } }
  must(state, 'a socket is a writable stream').highWaterMark = HIGH_WATER_BYTES
}
