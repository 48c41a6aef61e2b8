// SPDX-License-Identifier: Apache-2.0
// One open file.
import type { promises } from 'node:fs'
import { PlatformError } from '#base/error'
import type { DiskFile } from '#base/port/disk'
import { fileError } from './file-error.ts'

/** Buffers that one system call takes: IOV_MAX of Linux and macOS. */
const VECTOR_COUNT_MAX = 1024

export class NodeFile implements DiskFile {
  readonly path: string
  readonly #full: string
  readonly #handle: promises.FileHandle
  /** Set by the first failed sync. The kernel drops the dirty pages then and reports success the next time (R48), so no later sync may succeed. */
  #failure: PlatformError | undefined

  constructor(path: string, full: string, handle: promises.FileHandle) {
    this.path = path
    this.#full = full
    this.#handle = handle
  }

  async size(): Promise<number> {
    try {
      return (await this.#handle.stat()).size
    } catch (cause) {
      throw this.#error('measure', cause)
    }
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length)
    let filled = 0
    try {
      while (filled < length) {
        const { bytesRead } = await this.#handle.read(bytes, filled, length - filled, offset + filled)
        if (bytesRead === 0) break
        filled += bytesRead
      }
    } catch (cause) {
      throw this.#error('read', cause)
    }
    return filled === length ? bytes : bytes.subarray(0, filled)
  }

  async write(offset: number, buffers: readonly Buffer[]): Promise<void> {
    let at = offset
    try {
      for (let from = 0; from < buffers.length; from += VECTOR_COUNT_MAX) {
        at += await this.#writeVector(at, buffers.slice(from, from + VECTOR_COUNT_MAX))
      }
    } catch (cause) {
      throw this.#error('write', cause)
    }
  }

  async sync(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    try {
      // Writes the size too: POSIX asks of fdatasync all metadata that is needed to read the data back.
      await this.#handle.datasync()
    } catch (cause) {
      this.#failure = this.#error('sync', cause)
      throw this.#failure
    }
  }

  async truncate(size: number): Promise<void> {
    try {
      await this.#handle.truncate(size)
    } catch (cause) {
      throw this.#error('truncate', cause)
    }
  }

  async close(): Promise<void> {
    try {
      await this.#handle.close()
    } catch (cause) {
      throw this.#error('close', cause)
    }
  }

  /** Writes all of the buffers; the kernel may take fewer bytes than it is given. Resolves with their length. */
  async #writeVector(offset: number, buffers: Buffer[]): Promise<number> {
    let rest = withoutPrefix(buffers, 0)
    let written = 0
    while (rest.length > 0) {
      const { bytesWritten } = await this.#handle.writev(rest, offset + written)
      if (bytesWritten === 0) throw new Error('the file takes no more bytes')
      written += bytesWritten
      rest = withoutPrefix(rest, bytesWritten)
    }
    return written
  }

  #error(tried: string, cause: unknown): PlatformError {
    return cause instanceof PlatformError ? cause : fileError(tried, this.#full, cause as NodeJS.ErrnoException)
  }
}

/** What is left of the buffers after their first `length` bytes. Empty ones are left out. */
export function withoutPrefix(buffers: readonly Buffer[], length: number): Buffer[] {
  const rest: Buffer[] = []
  let skip = length
  for (const buffer of buffers) {
    if (buffer.length > skip) rest.push(skip === 0 ? buffer : buffer.subarray(skip))
    skip = Math.max(0, skip - buffer.length)
  }
  return rest
}
