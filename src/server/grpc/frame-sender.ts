// SPDX-License-Identifier: Apache-2.0
// One class of frames to one peer: a bounded queue, and a stream that is opened again whenever it breaks. The connection is its own, so that
// nothing of another class is ever ahead of a frame in a socket (R17).
import type { ClientDuplexStream, StatusObject } from '@grpc/grpc-js'
import { must } from '#base/assert'
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock, Timer } from '#base/port/clock'
import type { Backoff } from './backoff.ts'
import type { GrpcLink } from './grpc-link.ts'
import { encodeFrames } from './peer-codec.ts'
import { failureOf } from './status.ts'

/** Frames that wait are packed into messages of about this size. */
const MESSAGE_BYTES = 256 * 1024
/** Handed to gRPC and not yet taken by the socket: the rest waits here, where it is bounded and can be packed. */
const WRITTEN_BYTES_MAX = 1024 * 1024

export interface FrameSenderOptions {
  readonly queueBytesMax: number
  /** Makes one attempt. */
  readonly connect: () => Promise<GrpcLink>
  /** A frame may have been lost. */
  readonly onLoss: () => void
  /** The stream could not be opened, or has broken. */
  readonly onFailure: (error: PlatformError) => void
}

export class FrameSender {
  readonly #clock: Clock
  readonly #backoff: Backoff
  readonly #options: FrameSenderOptions
  #queue: Buffer[] = []
  #queuedBytes = 0
  #writtenBytes = 0
  #isFlushing = false
  /** The last one that was begun. */
  #opening: ClientDuplexStream<Buffer, Buffer> | undefined
  /** The same, while the peer takes frames. */
  #stream: ClientDuplexStream<Buffer, Buffer> | undefined
  /** The incarnation that the last stream went to. */
  #bootEpoch: number | undefined
  #retry: Timer | undefined
  #isClosed = false

  constructor(clock: Clock, backoff: Backoff, options: FrameSenderOptions) {
    this.#clock = clock
    this.#backoff = backoff
    this.#options = options
    this.#open()
  }

  /** A frame is dropped when there is no room for it; however large, it is taken when nothing else waits. */
  send(frame: Buffer): void {
    if (this.#queuedBytes > 0 && this.#queuedBytes + frame.length > this.#options.queueBytesMax) {
      this.#options.onLoss()
      return
    }
    this.#queue.push(frame)
    this.#queuedBytes += frame.length
    if (this.#stream === undefined || this.#isFlushing) return
    this.#isFlushing = true
    this.#clock.endOfTurn(() => this.#flush())
  }

  close(): void {
    this.#isClosed = true
    this.#retry?.cancel()
    this.#opening?.cancel()
    this.#stream = undefined
    this.#drop()
  }

  #open(): void {
    this.#options.connect().then(
      (link) => this.#accept(link),
      (error: unknown) => this.#fail(error),
    )
  }

  #accept(link: GrpcLink): void {
    if (this.#isClosed) {
      link.close()
      return
    }
    // What was meant for an incarnation that is no more is not for its successor (M4).
    if (this.#bootEpoch !== undefined && this.#bootEpoch !== link.peer.bootEpoch && this.#drop()) this.#options.onLoss()
    this.#bootEpoch = link.peer.bootEpoch
    const stream = link.stream('Peer/Frames')
    stream.once('metadata', () => {
      if (this.#isClosed) return
      this.#backoff.reset()
      this.#writtenBytes = 0
      this.#stream = stream
      this.#flush()
    })
    // The end, however it came, is told as the status. The same is also told as an error, which must have a listener.
    stream.on('error', () => undefined)
    stream.once('status', (status: StatusObject) => {
      link.close()
      this.#stream = undefined
      this.#fail(failureOf(status) ?? new PlatformError(ERROR_CODES.unreachable, `the stream of frames broke: ${status.details}`))
    })
    stream.resume()
    this.#opening = stream
  }

  #fail(error: unknown): void {
    if (this.#isClosed) return
    if (!isPlatformError(error)) throw error
    this.#drop()
    this.#options.onLoss()
    this.#options.onFailure(error)
    this.#retry = this.#clock.after(this.#backoff.next(), () => this.#open())
  }

  /** Whether there was anything. */
  #drop(): boolean {
    const wasEmpty = this.#queue.length === 0
    this.#queue = []
    this.#queuedBytes = 0
    return !wasEmpty
  }

  #flush(): void {
    this.#isFlushing = false
    const stream = this.#stream
    while (stream !== undefined && this.#queue.length > 0 && this.#writtenBytes < WRITTEN_BYTES_MAX) {
      const message = encodeFrames(this.#take())
      this.#writtenBytes += message.length
      stream.write(message, () => this.#written(stream, message.length))
    }
  }

  #written(stream: ClientDuplexStream<Buffer, Buffer>, bytes: number): void {
    if (this.#stream !== stream) return
    this.#writtenBytes -= bytes
    if (!this.#isFlushing) this.#flush()
  }

  /** Frames from the front of the queue for one message, at least one. */
  #take(): readonly Buffer[] {
    let count = 0
    let bytes = 0
    do bytes += must(this.#queue[count++], 'the queue is not empty').length
    while (count < this.#queue.length && bytes < MESSAGE_BYTES)
    this.#queuedBytes -= bytes
    return this.#queue.splice(0, count)
  }
}
