// SPDX-License-Identifier: Apache-2.0
// How replicas reach each other: frames by class of traffic, and snapshots beside them (M3, R38). It may lose, delay and repeat
// frames, and reorder those of different classes; it never alters one, and never delivers one to another incarnation of a node (M4).

/** A node's number in its cluster, from 1. */
export type NodeId = number

/** Neither class waits behind the other: 'control' is votes, heartbeats and reads; 'append' is everything that carries entries (R17). */
export type TrafficClass = 'control' | 'append'

/** What the host is told. No call comes after `stop` has resolved. */
export interface TransportHandler {
  /** Throws when the bytes are no frame: the connection that brought them is to be closed. */
  /** A PlatformError that is thrown closes the stream on which the frame came; the sender is told, and opens another one. */
  onFrame(from: NodeId, frame: Buffer): void
  /** A frame to that node may have been lost: its connection broke or cannot be made, or its queue is full. */
  onUnreachable(node: NodeId): void
  /** A peer sends a snapshot. A rejection tells the sender that it was not taken; the iteration throws when the stream breaks. */
  onSnapshot(from: NodeId, header: Buffer, chunks: AsyncIterable<Buffer>): Promise<void>
}

export interface PeerTransport {
  start(handler: TransportHandler): Promise<void>
  /** Never waits and never throws: what does not fit into the bounded queue of that class is dropped, and reported. */
  send(to: NodeId, traffic: TrafficClass, frame: Buffer): void
  /** Resolves when the peer has taken all of it, that is when its `onSnapshot` has resolved. Rejects when it has not. */
  sendSnapshot(to: NodeId, header: Buffer, chunks: AsyncIterable<Buffer>): Promise<void>
  /** Where nodes are reached, from now on. A node that is not named is no longer connected to. */
  setPeers(peers: ReadonlyMap<NodeId, string>): void
  stop(): Promise<void>
}
