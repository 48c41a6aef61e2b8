// SPDX-License-Identifier: Apache-2.0
// Files of the administrator, from the file system.
import { open, stat } from 'node:fs/promises'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { FileReader } from '#base/port/file-reader'
import { fileError } from './file-error.ts'

/** Far more than any bundle of certificates. It keeps a wrong path, to a device or a log, from filling the memory. */
const SIZE_BYTES_MAX = 1024 * 1024

export class NodeFileReader implements FileReader {
  async read(path: string): Promise<Buffer> {
    try {
      const file = await open(path, 'r')
      try {
        const bytes = Buffer.allocUnsafe(SIZE_BYTES_MAX + 1)
        let length = 0
        for (let taken = -1; taken !== 0 && length < bytes.length; length += taken) {
          taken = (await file.read(bytes, length, bytes.length - length)).bytesRead
        }
        if (length < bytes.length) return Buffer.from(bytes.subarray(0, length))
      } finally {
        await file.close()
      }
    } catch (cause) {
      throw fileError('read', path, cause as NodeJS.ErrnoException)
    }
    throw new PlatformError(ERROR_CODES.tooLarge, `cannot read ${path}: it has more than ${SIZE_BYTES_MAX} bytes`, { detail: { path } })
  }

  /** Links are followed: a secret that is mounted into a container is replaced by turning a link. */
  async stamp(path: string): Promise<string | undefined> {
    try {
      const { ino, size, mtimeMs } = await stat(path)
      return `${ino}:${size}:${mtimeMs}`
    } catch {
      return undefined
    }
  }
}
