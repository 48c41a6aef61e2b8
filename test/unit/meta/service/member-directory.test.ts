// SPDX-License-Identifier: Apache-2.0
// Whom a node connects to: what it remembers, what its configuration says, and what the metadata says.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { loadConfig } from '#base/config/load'
import type { Config } from '#base/config/schema'
import { ERROR_CODES } from '#base/error-code'
import { MemberDirectory, type ProgramVersion } from '#meta'
import { COMMAND } from '../../../../src/meta/command/command.ts'
import { createMetaNode, type MetaNode } from '../meta-node.ts'

const SILENT = { log: () => undefined, scope: () => SILENT }

function configOf(metaAddrs: string, ...settings: readonly string[]): Config {
  const outcome = loadConfig({ settings: [`meta_addrs=${metaAddrs}`, 'roles=meta', ...settings] })
  assert.equal(outcome.kind, 'loaded')
  return (outcome as Extract<typeof outcome, { kind: 'loaded' }>).config
}

class Bench {
  readonly meta: MetaNode
  readonly directory: MemberDirectory
  /** As the transport was told, in order. */
  readonly told: string[] = []
  readonly remembered: string[] = []
  readonly members: number[]

  static async open(config: Config, members: readonly number[], before: ReadonlyMap<number, string> = new Map(), program?: ProgramVersion) {
    return new Bench(config, members, before, await createMetaNode({ ...(program && { program }), members: () => members }))
  }

  private constructor(config: Config, members: readonly number[], before: ReadonlyMap<number, string>, meta: MetaNode) {
    this.meta = meta
    this.members = [...members]
    const crash = (reason: Error): never => {
      throw reason
    }
    const rememberAddresses = (addresses: ReadonlyMap<number, string>): Promise<void> => {
      this.remembered.push(inWords(addresses))
      return Promise.resolve()
    }
    this.directory = new MemberDirectory({ clock: meta.clock, logger: SILENT, crash }, config, meta.service, {
      book: { addresses: before, rememberAddresses },
      transport: { setPeers: (peers) => void this.told.push(inWords(peers)) },
      signal: meta.signal,
      members: () => this.members,
    })
  }

  /** Whatever is to be looked at has been looked at. */
  async settle(): Promise<void> {
    for (let round = 0; round < 5; round++) {
      for (const timer of this.meta.clock.timers.splice(0)) if (!timer.cancelled) timer.fire()
      await this.meta.idle()
    }
  }

  stored(): Promise<ReadonlyMap<number, string>> {
    return this.meta.service.members.addresses()
  }
}

const inWords = (addresses: ReadonlyMap<number, string>): string => [...addresses].map(([node, address]) => `${node}=${address}`).join(' ')

describe('the directory of members', () => {
  it('begins with what is remembered and configured, of which the configuration counts more', async () => {
    const bench = await Bench.open(
      configOf('1=a:1,2=b:1'),
      [],
      new Map([
        [2, 'old:1'],
        [3, 'c:1'],
      ]),
    )
    assert.deepEqual(bench.told, ['2=b:1 3=c:1'])
  })

  it('puts the own address into the metadata, and those of members that have none there; follows the others, and remembers them', async () => {
    const bench = await Bench.open(configOf('1=a:1,2=b:1'), [1, 2])
    await bench.directory.start()
    await bench.settle()
    assert.equal(inWords(await bench.stored()), '1=a:1 2=b:1')
    await bench.meta.service.members.setAddress(4, 'd:1')
    await bench.settle()
    assert.equal(bench.told.at(-1), '2=b:1 4=d:1')
    assert.equal(bench.remembered.at(-1), '1=a:1 2=b:1 4=d:1')
    await bench.meta.service.members.setAddress(4, 'e:1')
    await bench.settle()
    assert.equal(bench.told.at(-1), '2=b:1 4=e:1')
    // What this node's own configuration says counts more: when all have moved, there is nobody to change the metadata.
    await bench.meta.service.members.setAddress(2, 'elsewhere:1')
    await bench.settle()
    assert.equal(bench.told.at(-1), '2=b:1 4=e:1')
    await bench.directory.stop()
  })

  it('looks again when something has changed while it looked', async () => {
    const bench = await Bench.open(configOf('1=a:1,2=b:1'), [1, 2])
    bench.meta.signal.raise()
    bench.meta.clock.timers.splice(0)[0]?.fire()
    bench.meta.signal.raise()
    assert.equal(bench.meta.clock.timers.length, 0)
    await bench.meta.idle()
    assert.equal(bench.meta.clock.timers.length, 1)
  })

  it('a node that was removed is connected to no more, also when the configuration still names it', async () => {
    const bench = await Bench.open(configOf('1=a:1,2=b:1,3=c:1'), [1, 2, 3])
    await bench.directory.start()
    await bench.settle()
    bench.members.pop()
    await bench.meta.service.members.removeAddress(3)
    await bench.settle()
    assert.deepEqual([bench.told.at(-1), bench.remembered.at(-1)], ['2=b:1', '1=a:1 2=b:1'])
    assert.equal(inWords(await bench.stored()), '1=a:1 2=b:1')
  })

  it('a node that waits to be added keeps to what it knows, and announces and remembers nothing', async () => {
    const bench = await Bench.open(configOf('1=a:1,4=d:1', 'node_id=4', 'join=true'), [])
    await bench.meta.service.members.setAddress(2, 'b:1')
    await bench.settle()
    assert.equal(bench.told.at(-1), '1=a:1 2=b:1')
    assert.equal(inWords(await bench.stored()), '2=b:1')
    assert.deepEqual(bench.remembered, [])
  })

  it('R55 announces nothing before all members know the command, and does it once they do', async () => {
    const program = { version: 2, commandsSince: new Map([[COMMAND.setMember, 2]]) }
    const bench = await Bench.open(configOf('1=a:1,2=b:1'), [1, 2], new Map(), program)
    await bench.directory.start()
    await bench.settle()
    assert.equal(inWords(await bench.stored()), '')
    await bench.meta.service.registerNode(2, 0)
    await bench.settle()
    assert.equal(inWords(await bench.stored()), '1=a:1 2=b:1')
  })

  it('what is no address is refused', async () => {
    const { service } = await createMetaNode()
    for (const address of ['', 'host', 'host:0', 'host:70000', 'a b:1'])
      await assert.rejects(service.members.setAddress(1, address), { code: ERROR_CODES.invalid })
  })
})

describe('members', () => {
  it('are told with their addresses and versions, also those that were', async () => {
    const { service } = await createMetaNode()
    await service.members.setAddress(2, 'b:1')
    await service.registerNode(1, 0)
    await service.registerNode(2, 0)
    await service.members.setAddress(3, 'c:1')
    await service.members.removeAddress(2)
    assert.deepEqual(await service.members.members(), {
      clusterVersion: 1,
      members: [
        { node: 1, address: '', programVersion: 1 },
        { node: 2, address: '', programVersion: 1 },
        { node: 3, address: 'c:1', programVersion: 0 },
      ],
    })
  })
})
