// SPDX-License-Identifier: Apache-2.0
// Files in memory, for tests in which no crash of the disk matters. The simulator has the disk in which it does.
import type { Disk, DiskFile } from '../../../src/base/port/disk.ts'

export class MemoryDisk implements Disk {
  readonly files = new Map<string, Buffer>()

  async open(path: string, mode: 'create' | 'open'): Promise<DiskFile> {
    if (this.files.has(path) === (mode === 'create')) throw new Error(`${mode} ${path}`)
    if (mode === 'create') this.files.set(path, Buffer.alloc(0))
    const content = (): Buffer => this.files.get(path) ?? Buffer.alloc(0)
    return {
      path,
      size: async () => content().length,
      read: async (offset, length) => content().subarray(offset, offset + length),
      write: async (offset, buffers) => {
        this.files.set(path, Buffer.concat([content().subarray(0, offset), ...buffers]))
      },
      sync: async () => {},
      truncate: async (size) => {
        this.files.set(path, content().subarray(0, size))
      },
      close: async () => {},
    }
  }

  async exists(path: string): Promise<boolean> {
    return this.files.has(path)
  }

  fullPath(path: string): string {
    return path
  }

  async list(directory: string): Promise<readonly string[]> {
    const prefix = `${directory}/`
    return [...this.files.keys()]
      .filter((path) => path.startsWith(prefix))
      .map((path) => path.slice(prefix.length))
      .sort()
  }

  async makeDirectory(): Promise<void> {}

  async remove(path: string): Promise<void> {
    this.files.delete(path)
  }

  async rename(from: string, to: string): Promise<void> {
    const content = this.files.get(from)
    if (content === undefined) throw new Error(`rename ${from}`)
    this.files.delete(from)
    this.files.set(to, content)
  }

  async syncDirectory(): Promise<void> {}

  async free(): Promise<number> {
    return Number.MAX_SAFE_INTEGER
  }
}
