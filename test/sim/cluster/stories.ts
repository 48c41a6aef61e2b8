// SPDX-License-Identifier: Apache-2.0
// Disks that come back old or empty under their old identity (R25, R35, R46), told step by step: what must be found out can be found out only in a
// certain order of things. Three voters: A leads; B is cut off and behind; X has acknowledged, with A, what B does not have. Then X loses it and A
// is cut off. B and X are a majority, and if X gave B its vote, what was acknowledged would be lost.
import { must } from '#base/assert'
import type { NodeId } from '#raft'
import type { Cluster, RegisterNode } from './cluster.ts'
import type { DataCopy } from './cluster-node.ts'

/** What a story can do beside what the cluster offers. */
export interface Stage {
  readonly cluster: Cluster
  /** The timeout of an election. */
  readonly electionMs: number
  runFor(durationMs: number): Promise<void>
  /** Fails when it is not so in time. */
  until(what: string, holds: () => boolean): Promise<void>
  /** Clients ask only these from now on. */
  ask(nodes: readonly NodeId[]): void
  /** Resolves when every client was answered some more times. */
  served(): Promise<void>
}

export interface Story {
  readonly name: string
  readonly voters: number
  /** Nodes look at each other's identity. */
  readonly identified: boolean
  readonly play: (stage: Stage) => Promise<void>
}

export const STORIES: readonly Story[] = [
  {
    name: 'an old disk, told by a heartbeat of the leader, who cannot hear it',
    voters: 3,
    identified: false,
    play: async (stage) => {
      const cast = await begin(stage)
      const { cluster } = stage
      cluster.peers.cut(cast.x.id, cast.a.id)
      comeBack(stage, cast, cast.copy)
      await stage.runFor(stage.electionMs / 2)
      await tempt(stage, cast)
    },
  },
  {
    // It needs a snapshot, so that it stays as old as it is for a while.
    name: 'an old disk, told by a leader who has it from an earlier term',
    voters: 3,
    identified: false,
    play: async (stage) => {
      const cast = await begin(stage)
      for (let round = 0; round < 4; round++) await stage.served()
      const { cluster } = stage
      cluster.freeze([cast.x.id])
      cast.x.kill()
      await stage.until('the leader has stepped down', () => cluster.statusOf(cast.a)?.role === 'follower')
      cluster.thaw()
      comeBack(stage, cast, cast.copy)
      await stage.until('the leader leads again', () => cluster.statusOf(cast.a)?.role === 'leader')
      await stage.runFor(stage.electionMs / 2)
      await tempt(stage, cast)
    },
  },
  {
    name: 'an old disk, which its node has written down, and nobody tells it again',
    voters: 3,
    identified: false,
    play: async (stage) => {
      const cast = await begin(stage)
      comeBack(stage, cast, cast.copy)
      await stage.runFor(stage.electionMs)
      isolate(stage.cluster, cast.a.id)
      if (!cast.x.alive) cast.x.start()
      await tempt(stage, cast)
    },
  },
  {
    name: 'an empty disk under the old identity, known to a follower',
    voters: 3,
    identified: true,
    play: async (stage) => {
      const cast = await begin(stage)
      isolate(stage.cluster, cast.a.id)
      comeBack(stage, cast, undefined)
      await tempt(stage, cast)
    },
  },
]

interface Cast {
  readonly a: RegisterNode
  readonly b: RegisterNode
  readonly x: RegisterNode
  /** Of the data of X, before it acknowledged what B lacks. */
  readonly copy: DataCopy
}

async function begin(stage: Stage): Promise<Cast> {
  const { cluster } = stage
  const a = must(cluster.leader(), 'the story begins with a leader')
  const [b, x] = cluster.nodes().filter((node) => node !== a) as [RegisterNode, RegisterNode]
  await stage.until('all have met', () => cluster.nodes().every((node) => cluster.statusOf(node)?.leader === a.id && node.serving))
  x.kill()
  const copy = x.copyData()
  x.start()
  await stage.until('the copied node is back', () => x.serving)
  await stage.served()
  isolate(cluster, b.id)
  stage.ask([a.id, x.id])
  await stage.served()
  return { a, b, x, copy }
}

/** X dies, and is started at once on other data. */
function comeBack({ cluster }: Stage, { x }: Cast, data: DataCopy | undefined): void {
  x.kill()
  cluster.turnBack(x, data)
  x.start()
}

/** B meets X without A, long enough for any number of elections. Then all hear all again, and those that are left must serve. */
async function tempt(stage: Stage, { a, b, x }: Cast): Promise<void> {
  const { cluster } = stage
  isolate(cluster, a.id)
  for (const [from, to] of [
    [b.id, x.id],
    [x.id, b.id],
  ] as const)
    cluster.peers.restore(from, to)
  stage.ask([b.id, x.id])
  await stage.runFor(stage.electionMs * 20)
  cluster.heal()
  stage.ask([a.id, b.id])
  await stage.served()
}

function isolate(cluster: Cluster, id: NodeId): void {
  for (const other of cluster.nodes()) {
    if (other.id === id) continue
    cluster.peers.cut(id, other.id)
    cluster.peers.cut(other.id, id)
  }
}
