// SPDX-License-Identifier: Apache-2.0
// The identity of a node's data: an id drawn at the first start, and the settings that the data was laid out with (R35, DESIGN 5).
//
// The file has two lines: JSON {"version", "diskId", "settings"}, and the CRC-32C of the first in hexadecimal. It is written once, before anything
// else is, and read at each start, before anything else is opened.
import { assert } from '#base/assert'
import { type Config, type KeyPlace, keysOf, SCHEMA } from '#base/config/schema'
import { crc32c } from '#base/crc32c'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Disk } from '#base/port/disk'
import type { Random } from '#base/port/random'

export interface Identity {
  /** Unique in the world, and never the same again: a node that lost its data is another member (R35). */
  readonly diskId: string
  /** The fixed settings by path. */
  readonly settings: ReadonlyMap<string, unknown>
}

export interface IdentityPlace {
  /** As the user named it. */
  readonly dataPath: string
  /** Directories that hold data when there is anything in them. */
  readonly dataDirectories: readonly string[]
}

const FILE = 'identity'
/** What a crash while it is written leaves. */
const UNFINISHED = 'identity.new'
const VERSION = 1
const BYTES_MAX = 65_536
const FIXED: readonly KeyPlace[] = keysOf(SCHEMA).filter(({ key }) => key.fixed)

/**
 * The identity of the data on the disk, created when there is no data yet. Rejects with configInvalid when the configuration does not fit the data,
 * with dataDamaged when the identity is lost or unreadable, and with dataVersion when a newer version has written it.
 */
export async function openIdentity(disk: Disk, random: Random, config: Config, place: IdentityPlace): Promise<Identity> {
  const { dataPath } = place
  if (!(await disk.exists(FILE))) {
    await requireNoData(disk, place)
    const identity = { diskId: drawUuid(random), settings: new Map(FIXED.map((fixed) => [fixed.path, configured(config, fixed)])) }
    await writeIdentity(disk, identity)
    return identity
  }
  const identity = decodeIdentity(await readIdentity(disk))
  if (identity === 'damaged')
    throw new PlatformError(ERROR_CODES.dataDamaged, `${dataPath}/${FILE} is damaged: restore it from a copy of this node's data`)
  if (identity === 'newer')
    throw new PlatformError(ERROR_CODES.dataVersion, `${dataPath}/${FILE} is of a newer version of RobustMQ: start that version`)
  const mismatches = mismatchesOf(identity, config)
  if (mismatches.length > 0)
    throw new PlatformError(
      ERROR_CODES.configInvalid,
      `${mismatches.join('; ')}: set what the data in ${dataPath} was created with, or start a new node with an empty data_path`,
    )
  return identity
}

async function requireNoData(disk: Disk, { dataPath, dataDirectories }: IdentityPlace): Promise<void> {
  for (const directory of dataDirectories) {
    if ((await disk.list(directory)).length === 0) continue
    throw new PlatformError(
      ERROR_CODES.dataDamaged,
      `${dataPath}/${FILE} is missing, but there is data in ${dataPath}/${directory}: restore it from a copy of this node's data, or start a new node with an empty data_path`,
    )
  }
}

/** A setting that the file does not name was not fixed when it was written: the data was laid out as by its default. */
function mismatchesOf({ settings }: Identity, config: Config): readonly string[] {
  return FIXED.flatMap((fixed) => {
    const { path, key } = fixed
    const recorded = settings.get(path) ?? key.default
    const wanted = configured(config, fixed)
    return recorded === wanted ? [] : [`${path} = ${key.format(wanted)}, but the data was created with ${path} = ${key.format(recorded)}`]
  })
}

const configured = (config: Config, { names }: KeyPlace): unknown =>
  names.reduce<unknown>((section, name) => (section as Readonly<Record<string, unknown>>)[name], config)

/** A file appears whole or not at all: written beside its place, then renamed. */
async function writeIdentity(disk: Disk, identity: Identity): Promise<void> {
  if (await disk.exists(UNFINISHED)) await disk.remove(UNFINISHED)
  const file = await disk.open(UNFINISHED, 'create')
  try {
    await file.write(0, [encodeIdentity(identity)])
    await file.sync()
  } finally {
    await file.close()
  }
  await disk.rename(UNFINISHED, FILE)
  await disk.syncDirectory('')
}

async function readIdentity(disk: Disk): Promise<Buffer> {
  const file = await disk.open(FILE, 'open')
  try {
    return await file.read(0, BYTES_MAX)
  } finally {
    await file.close()
  }
}

export function encodeIdentity({ diskId, settings }: Identity): Buffer {
  const line = JSON.stringify({ version: VERSION, diskId, settings: Object.fromEntries(settings) })
  const bytes = Buffer.from(`${line}\n${checksum(line)}\n`)
  assert(bytes.length < BYTES_MAX, 'an identity is small')
  return bytes
}

export function decodeIdentity(bytes: Buffer): Identity | 'damaged' | 'newer' {
  const [line = '', sum, end] = bytes.toString().split('\n')
  if (sum !== checksum(line) || end !== '') return 'damaged'
  // Where the checksum holds, the bytes are what this or a newer version wrote.
  const written = JSON.parse(line) as {
    readonly version: number
    readonly diskId: string
    readonly settings: object
  }
  if (written.version > VERSION) return 'newer'
  const settings = new Map(Object.entries(written.settings))
  const isKnown = (path: string): boolean => FIXED.some((fixed) => fixed.path === path)
  return [...settings.keys()].every(isKnown) ? { diskId: written.diskId, settings } : 'newer'
}

const checksum = (line: string): string => crc32c(Buffer.from(line)).toString(16).padStart(8, '0')

/** Version 4 of RFC 9562. */
function drawUuid(random: Random): string {
  const bytes = random.bytes(16)
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
