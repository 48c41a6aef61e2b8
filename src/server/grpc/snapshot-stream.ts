// SPDX-License-Identifier: Apache-2.0
// Snapshots on their way (R38): a header, chunks with a CRC each, and an end with the size and the SHA-256 of all of them. Both sides hold one
// chunk at a time, and learn how it ended (R40).
import { createHash } from 'node:crypto'
import type { ClientDuplexStream, StatusObject } from '@grpc/grpc-js'
import { status as GRPC } from '@grpc/grpc-js'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { NodeId } from '#base/port/peer-transport'
import type { ServerCall } from './grpc-call.ts'
import { decodeSnapshotPart, encodeSnapshotChunk, encodeSnapshotEnd, encodeSnapshotHeader } from './peer-codec.ts'
import { malformed } from './proto-bytes.ts'
import { failureOf } from './status.ts'

type OutgoingStream = ClientDuplexStream<Buffer, Buffer>

/** Resolves when the receiver has taken all of it. Rejects with what the receiver says, with `unreachable`, or with what the chunks reject with. */
export async function sendSnapshot(stream: OutgoingStream, to: NodeId, header: Buffer, chunks: AsyncIterable<Buffer>): Promise<void> {
  const end = endOf(stream, to)
  // It may come while a chunk is awaited; whether it is a failure is asked at the next write.
  end.catch(() => undefined)
  const digest = createHash('sha256')
  let size = 0
  try {
    // Before the receiver has answered, gRPC itself would hold whatever is written.
    await Promise.race([answered(stream), end.then(refuseEarlyEnd)])
    await write(stream, encodeSnapshotHeader(header), end)
    for await (const chunk of chunks) {
      digest.update(chunk)
      size += chunk.length
      await write(stream, encodeSnapshotChunk(chunk), end)
    }
    await write(stream, encodeSnapshotEnd(size, digest.digest()), end)
  } catch (error) {
    stream.cancel()
    throw error
  }
  stream.end()
  await end
}

/** The first message of a snapshot, and the chunks after it, which throw when the stream breaks or is not what was sent. */
export async function receiveSnapshot(call: ServerCall): Promise<{ readonly header: Buffer; readonly chunks: AsyncIterable<Buffer> }> {
  const messages = call[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  const first = await nextPart(messages)
  if (first.kind !== 'header') throw malformed('a snapshot does not begin with its header')
  return { header: first.header, chunks: chunksOf(messages) }
}

async function* chunksOf(messages: AsyncIterator<Buffer>): AsyncIterable<Buffer> {
  const digest = createHash('sha256')
  let size = 0
  for (;;) {
    const part = await nextPart(messages)
    switch (part.kind) {
      case 'chunk':
        digest.update(part.data)
        size += part.data.length
        yield part.data
        break
      case 'end':
        if (part.size === size && digest.digest().equals(part.digest)) return
        throw new PlatformError(ERROR_CODES.invalid, 'a snapshot that has arrived is not the one that was sent', { detail: { size } })
      default:
        throw malformed('a snapshot has a second header')
    }
  }
}

async function nextPart(messages: AsyncIterator<Buffer>): Promise<ReturnType<typeof decodeSnapshotPart>> {
  const { done, value } = await messages.next().catch((cause: unknown) => {
    throw broken(cause)
  })
  if (done !== true) return decodeSnapshotPart(value)
  throw broken(undefined)
}

const broken = (cause: unknown): PlatformError =>
  new PlatformError(ERROR_CODES.unreachable, 'the stream of a snapshot broke before its end', { cause })

const answered = (stream: OutgoingStream): Promise<void> => new Promise((resolve) => stream.once('metadata', () => resolve()))

function endOf(stream: OutgoingStream, to: NodeId): Promise<void> {
  return new Promise((resolve, reject) => {
    // The end is told as the status. The same is also told as an error, which must have a listener.
    stream.on('error', () => undefined)
    stream.once('status', (status: StatusObject) => {
      if (status.code === GRPC.OK) resolve()
      const text = `the stream of a snapshot to node ${to} broke: ${status.details}`
      reject(failureOf(status) ?? new PlatformError(ERROR_CODES.unreachable, text, { detail: { node: to } }))
    })
    stream.resume()
  })
}

/** Resolves when there is room for the next message; rejects when the stream has ended. */
async function write(stream: OutgoingStream, message: Buffer, end: Promise<void>): Promise<void> {
  const written = new Promise<void>((resolve) => stream.write(message, () => resolve()))
  await Promise.race([written, end.then(refuseEarlyEnd)])
}

function refuseEarlyEnd(): never {
  throw new PlatformError(ERROR_CODES.unreachable, 'the receiver of a snapshot ended the stream before it had all of it')
}
