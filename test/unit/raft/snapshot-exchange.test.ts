// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SnapshotOffer } from '../../../src/raft/core/message.ts'
import { SnapshotExchange, type SnapshotGroup } from '../../../src/raft/peer/snapshot-exchange.ts'
import { encodeSnapshotHeader } from '../../../src/raft/wire/message-codec.ts'
import { SimDisk } from '../../sim/disk.ts'
import { fakePorts, RecordingMachine } from './fakes.ts'
import { Wire } from './trio.ts'

const OFFER: SnapshotOffer = {
  kind: 'snapshotOffer',
  from: 1,
  to: 2,
  term: 3,
  start: { index: 39, term: 2, conf: { voters: [1, 2], learners: [], outgoing: [], learnersNext: [] } },
  formatVersion: 1,
}

test('R40 who has what a snapshot holds says so to the leader, which would offer it for ever', async () => {
  const answered: SnapshotOffer[] = []
  const group: SnapshotGroup = {
    id: 1,
    machine: new RecordingMachine(),
    offer: () => undefined,
    snapshotDone: () => {},
    wouldInstall: () => false,
    offered: async (offer) => void answered.push(offer),
  }
  const { logger } = fakePorts().ports
  const exchange = new SnapshotExchange({ nodeId: 2, transport: new Wire().transport(2), disk: new SimDisk(), logger }, () => group)
  const chunks = (async function* () {
    yield assert.fail('nothing of it is read')
  })()
  await assert.rejects(exchange.receive(1, encodeSnapshotHeader({ group: 1, offer: OFFER }), chunks), /not needed/)
  assert.deepEqual(answered, [OFFER])
})
