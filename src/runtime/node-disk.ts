// SPDX-License-Identifier: Apache-2.0
// Files below the data directory.
import { constants, promises as files } from 'node:fs'
import * as path from 'node:path'
import { assert } from '#base/assert'
import type { Disk, DiskFile } from '#base/port/disk'
import { fileError } from './file-error.ts'
import { NodeFile } from './node-file.ts'

const OPEN_FLAGS = constants.O_RDWR
const CREATE_FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL
/** Data of users is for the user of the server only. */
const FILE_MODE = 0o600
const DIRECTORY_MODE = 0o700

export class NodeDisk implements Disk {
  readonly #root: string

  private constructor(root: string) {
    this.#root = root
  }

  /** Opens the data directory, creating it durably when it is not there. Rejects with diskFull or diskFailed. */
  static async open(root: string): Promise<NodeDisk> {
    const absolute = path.resolve(root)
    await createDirectory(absolute)
    return new NodeDisk(absolute)
  }

  async open(name: string, mode: 'create' | 'open'): Promise<DiskFile> {
    const full = this.#resolve(name)
    try {
      return new NodeFile(name, full, await files.open(full, mode === 'create' ? CREATE_FLAGS : OPEN_FLAGS, FILE_MODE))
    } catch (cause) {
      throw fileError(mode, full, cause as NodeJS.ErrnoException)
    }
  }

  fullPath(name: string): string {
    return this.#resolve(name)
  }

  async exists(name: string): Promise<boolean> {
    const full = this.#resolve(name)
    try {
      await files.stat(full)
      return true
    } catch (cause) {
      if (errnoOf(cause) === 'ENOENT') return false
      throw fileError('look up', full, cause as NodeJS.ErrnoException)
    }
  }

  async list(directory: string): Promise<readonly string[]> {
    const full = this.#resolve(directory)
    try {
      return (await files.readdir(full)).sort()
    } catch (cause) {
      if (errnoOf(cause) === 'ENOENT') return []
      throw fileError('list', full, cause as NodeJS.ErrnoException)
    }
  }

  makeDirectory(directory: string): Promise<void> {
    return createDirectory(this.#resolve(directory))
  }

  async remove(name: string): Promise<void> {
    const full = this.#resolve(name)
    await files.unlink(full).catch((cause) => Promise.reject(fileError('remove', full, cause)))
  }

  async removeDirectory(directory: string): Promise<void> {
    const full = this.#resolve(directory)
    await files.rmdir(full).catch((cause) => Promise.reject(fileError('remove', full, cause)))
  }

  async rename(from: string, to: string): Promise<void> {
    const full = this.#resolve(from)
    await files.rename(full, this.#resolve(to)).catch((cause) => Promise.reject(fileError('rename', full, cause)))
  }

  syncDirectory(directory: string): Promise<void> {
    return syncDirectory(this.#resolve(directory))
  }

  async free(): Promise<number> {
    const stats = await files.statfs(this.#root).catch((cause) => Promise.reject(fileError('measure', this.#root, cause)))
    return stats.bavail * stats.bsize
  }

  /** Names come from our own code, never from clients: one that leaves the data directory is a bug. */
  #resolve(name: string): string {
    const full = path.resolve(this.#root, name)
    assert(full === this.#root || full.startsWith(this.#root + path.sep), 'a path stays inside the data directory')
    return full
  }
}

const errnoOf = (cause: unknown): string | undefined => (cause as NodeJS.ErrnoException).code

/** Creates the missing levels from the top. A name is durable once the directory that holds it is synced (RELIABILITY T18). */
async function createDirectory(full: string): Promise<void> {
  const missing: string[] = []
  for (let level = full; !(await isDirectory(level)); level = path.dirname(level)) missing.push(level)
  for (const level of missing.reverse()) {
    await files.mkdir(level, DIRECTORY_MODE).catch((cause) => {
      if (errnoOf(cause) !== 'EEXIST') throw fileError('create', level, cause)
    })
    await syncDirectory(path.dirname(level))
  }
}

async function isDirectory(full: string): Promise<boolean> {
  try {
    const stats = await files.stat(full)
    if (stats.isDirectory()) return true
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return false
    throw fileError('look up', full, cause as NodeJS.ErrnoException)
  }
  throw fileError('use as a directory', full, Object.assign(new Error('a file is in the way'), { code: 'ENOTDIR' }))
}

async function syncDirectory(full: string): Promise<void> {
  try {
    const handle = await files.open(full, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (cause) {
    throw fileError('sync directory', full, cause as NodeJS.ErrnoException)
  }
}
