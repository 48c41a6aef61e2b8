// SPDX-License-Identifier: Apache-2.0
// Byte streams from clients: TCP, later TLS and WebSocket, or the simulator's network.

/** What the owner of a channel is told. No call comes after `onClose`. */
export interface ChannelHandler {
  /** Bytes that arrived. The chunk belongs to the handler and is not reused. */
  onData(chunk: Buffer): void
  /** Everything queued has been handed to the transport. */
  onDrain(): void
  onClose(error: Error | undefined): void
}

export interface Channel {
  /** Peer, for logs and limits: '192.0.2.1:50000'. */
  readonly remote: string
  /** Queues bytes, which must not change afterwards. */
  write(bytes: Buffer): void
  /** Bytes queued and not yet taken by the transport. */
  queuedBytes(): number
  /** Stops, or goes on, reading: back-pressure towards the peer. */
  pause(): void
  resume(): void
  /** Sends what is queued, then closes. `graceMs` bounds the wait for a peer that does not read. */
  end(graceMs: number): void
  /** Closes now; what is queued is lost. */
  destroy(): void
}

export interface Listener {
  readonly address: string
  /** Binds and accepts. Rejects with addressInUse. */
  start(accept: (channel: Channel) => ChannelHandler): Promise<void>
  /** Stops accepting; open channels stay open. */
  stop(): Promise<void>
}

export interface ListenOptions {
  readonly transport: 'tcp'
  readonly host: string
  readonly port: number
}

export interface Network {
  listener(options: ListenOptions): Listener
}
