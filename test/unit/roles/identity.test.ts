// SPDX-License-Identifier: Apache-2.0
// The identity of a node's data (R35): drawn once, durable before any data is, and never replaced.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { loadConfig } from '#base/config/load'
import type { Config } from '#base/config/schema'
import { isPlatformError } from '#base/error'
import { ERROR_CODES, type ErrorCode } from '#base/error-code'
import { decodeIdentity, encodeIdentity, type Identity, openIdentity } from '../../../roles/identity.ts'
import { type DiskOperation, SimDisk } from '../../sim/disk.ts'
import { SimRandom } from '../../sim/random.ts'

const SEED = 35

function configOf(...settings: readonly string[]): Config {
  const outcome = loadConfig({ settings })
  assert.ok(outcome.kind === 'loaded')
  return outcome.config
}

const open = (disk: SimDisk, config = configOf(), seed = SEED): Promise<Identity> =>
  openIdentity(disk, new SimRandom(seed), config, { dataPath: './data', dataDirectories: ['kv', 'wal'] })

const refuses = (code: ErrorCode, words: RegExp) => (error: unknown) => isPlatformError(error, code) && words.test(error.message)

async function withData(disk: SimDisk): Promise<SimDisk> {
  await disk.makeDirectory('wal')
  const file = await disk.open('wal/0', 'create')
  await file.close()
  return disk
}

describe('identity', () => {
  it('is drawn at the first start and is the same at every later one', async () => {
    const disk = new SimDisk()
    const first = await open(disk)
    assert.match(first.diskId, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    assert.deepEqual(await open(await withData(disk), configOf(), SEED + 1), first)
    assert.notEqual((await open(new SimDisk(), configOf(), SEED + 1)).diskId, first.diskId)
    assert.deepEqual(disk.paths(), ['identity', 'wal/0'])
  })

  it('settings that the data was laid out with are compared: all differences are told, with what to do', async () => {
    const disk = new SimDisk()
    await open(disk, configOf('cluster_name=one', 'engine.stripes=2'))
    await assert.rejects(
      open(disk, configOf('cluster_name=two', 'engine.stripes=3', 'node_id=4', 'meta.data_groups=5', 'meta.offset_groups=6')),
      (error: unknown) => {
        assert.ok(isPlatformError(error, ERROR_CODES.configInvalid))
        assert.equal(
          error.message,
          'cluster_name = "two", but the data was created with cluster_name = "one"; ' +
            'node_id = 4, but the data was created with node_id = 1; ' +
            'meta.offset_groups = 6, but the data was created with meta.offset_groups = 1; ' +
            'meta.data_groups = 5, but the data was created with meta.data_groups = 1; ' +
            'engine.stripes = 3, but the data was created with engine.stripes = 2: ' +
            'set what the data in ./data was created with, or start a new node with an empty data_path',
        )
        return true
      },
    )
    await open(disk, configOf('cluster_name=one', 'engine.stripes=2', 'mqtt.tcp_port=1'))
  })

  it('missing beside data refuses the start: a blank identity would forget the votes of the old one', async () => {
    await assert.rejects(
      open(await withData(new SimDisk())),
      refuses(ERROR_CODES.dataDamaged, /\.\/data\/identity is missing, but there is data in \.\/data\/wal/),
    )
  })

  it('every flipped bit and every lost end is noticed', async () => {
    const disk = new SimDisk()
    await open(disk)
    const bytes = disk.bytes('identity')
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes)
      damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << (at % 8)), at)
      assert.equal(decodeIdentity(damaged), 'damaged', `bit ${at % 8} of byte ${at}`)
      assert.equal(decodeIdentity(bytes.subarray(0, at)), 'damaged', `${at} bytes`)
    }
    disk.damage('identity', 5, 0xff)
    await assert.rejects(open(disk), refuses(ERROR_CODES.dataDamaged, /identity is damaged: restore it/))
  })

  it('of a newer version, or with settings that this one does not know, refuses the start', async () => {
    const disk = new SimDisk()
    const { diskId, settings } = await open(disk)
    assert.equal(decodeIdentity(encodeIdentity({ diskId, settings: new Map([...settings, ['engine.colour', 1]]) })), 'newer')
  })

  it('without a setting that is fixed only since then, the data was laid out by its default', async () => {
    const disk = new SimDisk()
    const file = await disk.open('identity', 'create')
    await file.write(0, [encodeIdentity({ diskId: 'd', settings: new Map([['node_id', 1]]) })])
    assert.equal((await open(disk)).diskId, 'd')
    await assert.rejects(open(disk, configOf('engine.stripes=5')), refuses(ERROR_CODES.configInvalid, /created with engine\.stripes = 4/))
  })

  it(`power lost at any operation of the first start: the next one succeeds, and an identity that was returned is kept (seed ${SEED})`, async () => {
    const random = new SimRandom(SEED)
    for (let stopAt = 0; ; stopAt++) {
      let operations = 0
      let reached = (): void => undefined
      const stopped = new Promise<'stopped'>((resolve) => {
        reached = () => resolve('stopped')
      })
      const delay = (_: DiskOperation): Promise<void> | undefined => {
        if (operations++ !== stopAt) return undefined
        reached()
        return new Promise(() => undefined)
      }
      const disk = new SimDisk({ delay })
      const outcome = await Promise.race([open(disk), stopped])
      for (let round = 0; round < 20; round++) {
        const after = disk.clone().crash(random, 'some', {})
        const found = await open(after, configOf(), SEED + 1 + round)
        if (outcome !== 'stopped') assert.deepEqual(found, outcome)
        assert.deepEqual(await open(after), found)
      }
      if (outcome !== 'stopped') {
        assert.ok(stopAt >= 4, 'write, sync, rename and the sync of the directory were all interrupted')
        return
      }
    }
  })
})
