// SPDX-License-Identifier: Apache-2.0
// Byte streams from clients: TCP, TLS, WebSocket over either of them, or the simulator's network.

export type Transport = 'tcp' | 'tls' | 'ws' | 'wss'

/** Who a verified client certificate says the peer is. Names of a kind that it does not have are an empty list. */
export interface ClientCertificate {
  /** Of the subject; undefined when there is none, or more than one. */
  readonly commonName: string | undefined
  /** Distinguished name of the subject, most specific part first: 'CN=meter-7,O=Example'. */
  readonly subject: string
  readonly dnsNames: readonly string[]
  readonly uris: readonly string[]
  readonly emails: readonly string[]
}

/** Why the owner closes a channel. A transport that can tell the peer does (WebSocket close codes); the others only close. */
export type CloseReason = 'done' | 'goingAway' | 'protocolError' | 'policy' | 'tooLarge' | 'failure' | 'tryLater'

/** What the owner of a channel is told. No call comes after `onClose`. */
export interface ChannelHandler {
  /** Bytes that arrived. The chunk belongs to the handler and is not reused. */
  onData(chunk: Buffer): void
  /** Everything queued has been handed to the transport. */
  onDrain(): void
  onClose(error: Error | undefined): void
}

export interface Channel {
  readonly transport: Transport
  /** Peer, for logs and limits: '192.0.2.1:50000'. */
  readonly remote: string
  /** Undefined when the peer showed none, or was not asked. One that could not be verified never gets as far as a channel. */
  readonly certificate: ClientCertificate | undefined
  /** Queues bytes, which must not change afterwards. */
  write(bytes: Buffer): void
  /** Bytes queued and not yet taken by the transport. */
  queuedBytes(): number
  /** Stops, or goes on, reading: back-pressure towards the peer. A chunk that is being taken apart may still be told. */
  pause(): void
  resume(): void
  /** Sends what is queued, then closes. `graceMs` bounds the wait for a peer that does not read. */
  end(graceMs: number, reason?: CloseReason): void
  /** Closes now; what is queued is lost. */
  destroy(reason?: CloseReason): void
}

export interface Listener {
  readonly address: string
  /** Binds and accepts. Rejects with addressInUse, or with configInvalid when the address cannot be bound at all. */
  start(accept: (channel: Channel) => ChannelHandler): Promise<void>
  /** Stops accepting; open channels stay open. */
  stop(): Promise<void>
  /**
   * Shows other certificates to those who connect from now on; open channels stay open. Only for listeners that were made with `tls`.
   * Throws configInvalid, and keeps the ones it has, when they cannot be used.
   */
  setTls(tls: TlsMaterial): void
}

export interface Network {
  /** Throws configInvalid when the certificates cannot be used. */
  listener(options: ListenOptions): Listener
}

export type ListenOptions = ListenAddress & (TcpOptions | TlsOptions | WsOptions | WssOptions)

interface ListenAddress {
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
  /** Connections that the owner keeps open; many more than that are not even taken through a handshake. Absent for no limit. */
  readonly connectionsMax?: number
}

interface TcpOptions {
  readonly transport: 'tcp'
}

interface TlsOptions {
  readonly transport: 'tls'
  readonly tls: TlsMaterial
  readonly verifyClient: VerifyClient
}

interface WsOptions {
  readonly transport: 'ws'
  readonly webSocket: WebSocketOptions
}

interface WssOptions {
  readonly transport: 'wss'
  readonly tls: TlsMaterial
  readonly verifyClient: VerifyClient
  readonly webSocket: WebSocketOptions
}

/** A file in PEM, as it was read. */
export interface PemFile {
  /** Where it comes from, for messages. */
  readonly path: string
  readonly bytes: Buffer
}

export interface KeyPair {
  /** The certificate, followed by those between it and the root. */
  readonly cert: PemFile
  readonly key: PemFile
}

/** Whether clients are asked for a certificate; 'optional' refuses one that cannot be verified, but not its absence. */
export type VerifyClient = 'none' | 'optional' | 'required'

export interface TlsMaterial {
  /** Shown to clients that name no host, or one that none of the certificates is for. */
  readonly pair: KeyPair
  /** Further ones: the first that is for the host which the client names is shown (SNI). */
  readonly others: readonly KeyPair[]
  /** Issuers of client certificates. There is one wherever clients are asked for a certificate. */
  readonly ca: PemFile | undefined
}

export interface WebSocketOptions {
  /** The only path that is served: '/mqtt'. */
  readonly path: string
  /** Origins from which pages may connect; empty for any. Clients that are no browsers send none, and are let in. */
  readonly origins: readonly string[]
  /** Largest message, in bytes, however many frames carry it. */
  readonly messageBytesMax: number
}
