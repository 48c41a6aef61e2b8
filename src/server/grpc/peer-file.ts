// SPDX-License-Identifier: Apache-2.0
// The file in which a node remembers its peers' disks and addresses, and counts its own starts. Two lines, as the identity has: JSON {"version", "boot",
// "disks", "addresses"} and the CRC-32C of the first in hexadecimal. It is replaced as a whole: written beside its place, synced, renamed.
import { crc32c } from '#base/crc32c'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock } from '#base/port/clock'
import type { Disk } from '#base/port/disk'
import type { NodeId } from '#base/port/peer-transport'
import type { KnownPeers } from './known-peers.ts'

const FILE = 'peers'
const UNFINISHED = 'peers.new'
const VERSION = 1

interface Content {
  readonly version: number
  readonly boot: number
  readonly disks: Readonly<Record<string, string>>
  /** Of the members, as they were known at last. Not in files of programs that did not keep any. */
  readonly addresses?: Readonly<Record<string, string>>
}

const NO_CONTENT: Content = Object.freeze({ version: VERSION, boot: 0, disks: {} })

export class PeerFile implements KnownPeers {
  /**
   * Larger at every start of this node, so that its peers tell a late word of the one before from one of its successor (M4). It is the time, or
   * one more than at the last start where the clock has gone back.
   */
  readonly bootEpoch: number
  readonly #disk: Disk
  readonly #disks: Map<NodeId, string>
  #addresses: ReadonlyMap<NodeId, string>
  #writing: Promise<void> = Promise.resolve()

  /** Counts this start, durably. Rejects with dataDamaged, dataVersion, or what the disk says. */
  static async open(disk: Disk, clock: Clock): Promise<PeerFile> {
    const { boot, disks, addresses } = (await disk.exists(FILE)) ? decode(await read(disk), disk.fullPath(FILE)) : NO_CONTENT
    const file = new PeerFile(disk, Math.max(boot + 1, Math.floor(clock.realtime())), byNode(disks), byNode(addresses ?? {}))
    await file.#write()
    return file
  }

  private constructor(disk: Disk, bootEpoch: number, disks: Map<NodeId, string>, addresses: ReadonlyMap<NodeId, string>) {
    this.#disk = disk
    this.bootEpoch = bootEpoch
    this.#disks = disks
    this.#addresses = addresses
  }

  get addresses(): ReadonlyMap<NodeId, string> {
    return this.#addresses
  }

  get(node: NodeId): string | undefined {
    return this.#disks.get(node)
  }

  remember(node: NodeId, diskId: string): Promise<void> {
    if (this.#disks.has(node)) return this.#writing
    this.#disks.set(node, diskId)
    return this.#write()
  }

  /** Replaces those of before. Resolves when it is durable. */
  rememberAddresses(addresses: ReadonlyMap<NodeId, string>): Promise<void> {
    this.#addresses = new Map(addresses)
    return this.#write()
  }

  /** One after the other; a write that fails fails those after it too, as what is on the disk is no longer known (R48). */
  #write(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#replace())
    return this.#writing
  }

  async #replace(): Promise<void> {
    const disk = this.#disk
    if (await disk.exists(UNFINISHED)) await disk.remove(UNFINISHED)
    const file = await disk.open(UNFINISHED, 'create')
    try {
      const [disks, addresses] = [Object.fromEntries(this.#disks), Object.fromEntries(this.#addresses)]
      await file.write(0, [encode({ version: VERSION, boot: this.bootEpoch, disks, addresses })])
      await file.sync()
    } finally {
      await file.close()
    }
    await disk.rename(UNFINISHED, FILE)
    await disk.syncDirectory('')
  }
}

const byNode = (texts: Readonly<Record<string, string>>): Map<NodeId, string> =>
  new Map(Object.entries(texts).map(([node, text]) => [Number(node), text]))

async function read(disk: Disk): Promise<Buffer> {
  const file = await disk.open(FILE, 'open')
  try {
    return await file.read(0, await file.size())
  } finally {
    await file.close()
  }
}

function encode(content: Content): Buffer {
  const line = JSON.stringify(content)
  return Buffer.from(`${line}\n${checksum(line)}\n`)
}

function decode(bytes: Buffer, path: string): Content {
  const [line, sum, end] = bytes.toString().split('\n')
  if (line === undefined || sum !== checksum(line) || end !== '')
    throw new PlatformError(ERROR_CODES.dataDamaged, `${path} is damaged: restore it from a copy of this node's data`)
  // Where the checksum holds, the bytes are what this or a newer version wrote.
  const content = JSON.parse(line) as Content
  if (content.version > VERSION)
    throw new PlatformError(ERROR_CODES.dataVersion, `${path} is of a newer version of RobustMQ: start that version`)
  return content
}

const checksum = (line: string): string => crc32c(Buffer.from(line)).toString(16).padStart(8, '0')
