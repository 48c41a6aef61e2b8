// SPDX-License-Identifier: Apache-2.0
// The operator of a cluster that shares metadata: gives the places of lost nodes to new ones with new ids and empty disks (R35), now and then that of a sound one too, and moves
// leadership. All by the commands that a person would give, over the same ways that lose and break.
import { type ClusterAccess, runCtl } from '#cli'
import { RpcAdminClient } from '#meta'
import { Life } from '../../life.ts'
import type { SimRandom } from '../../random.ts'
import type { MembershipPeriods } from '../membership-actor.ts'
import { NodeTime } from '../node-time.ts'
import type { MetaCluster, MetaNode } from './meta-cluster.ts'
import { addressOf, META_GROUPS } from './meta-program.ts'

type Order = Parameters<typeof runCtl>[0]['order']

const REPAIR_MS = 1_000
const ORDER_MS = 20_000
const REMOVE_FIRST_RATIO = 0.3
const ALL_GROUPS_RATIO = 0.3
/** The operator is no node. */
const OPERATOR = 999

/** A place that is being given to another node. What is done of it stays done. */
interface Replacement {
  readonly old: MetaNode
  readonly fresh: MetaNode
  readonly removesFirst: boolean
}

export class MetaOperator {
  readonly #cluster: MetaCluster
  readonly #random: SimRandom
  readonly #periods: MembershipPeriods
  readonly #access: ClusterAccess
  readonly #clock: ReturnType<NodeTime['clock']>
  #replacement: Replacement | undefined
  #replaced = 0
  #transfers = 0
  #acting = false
  #settling = false
  #stopped = false

  constructor(cluster: MetaCluster, random: SimRandom, periods: MembershipPeriods) {
    this.#cluster = cluster
    this.#random = random
    this.#periods = periods
    const life = new Life(OPERATOR, 1)
    this.#clock = new NodeTime(1, 0, 0).clock(cluster.world, life, random.stream('turns'))
    const rpc = cluster.rpc.clientFor({ nodeId: life.node, bootEpoch: 1 })
    this.#access = { admin: (node, deadlineMs) => new RpcAdminClient(rpc, node, deadlineMs), setPeers: () => {} }
    this.#again()
    if (periods.transferMs !== undefined) this.#transferLater(periods.transferMs)
  }

  /** Places that have another node now. */
  get replaced(): number {
    return this.#replaced
  }

  /** Begins nothing but what is necessary. */
  settle(): void {
    this.#settling = true
    // What it had in mind to do may be far away.
    if (!this.#acting) this.#again()
  }

  stop(): void {
    this.#stopped = true
  }

  /** Nothing is under way, no member is lost, and all groups have the same members. */
  get settled(): boolean {
    return this.#replacement === undefined && this.#transfers === 0 && this.#lost() === undefined && this.#cluster.isSettled
  }

  #again(): void {
    const settling = this.#settling
    this.#cluster.world.schedule('fault', undefined, this.#random.delayMs(settling ? REPAIR_MS : this.#period()), () => {
      if (!this.#stopped && settling === this.#settling) void this.#act().then(() => this.#again())
    })
  }

  async #act(): Promise<void> {
    this.#acting = true
    this.#replacement ??= this.#begin()
    if (this.#replacement !== undefined) await this.#carryOn(this.#replacement)
    this.#acting = false
  }

  #period(): number {
    return this.#lost() === undefined ? (this.#periods.membershipMs ?? REPAIR_MS) : REPAIR_MS
  }

  #lost(): MetaNode | undefined {
    return this.#cluster.members().find(({ ruined }) => ruined)
  }

  #begin(): Replacement | undefined {
    const members = this.#cluster.members()
    const lost = this.#lost()
    const isRotated = !this.#settling && this.#periods.membershipMs !== undefined && members.every(({ sound }) => sound)
    const old = lost ?? (isRotated ? this.#random.pick(members) : undefined)
    if (old === undefined || this.#cluster.room === 0) return undefined
    this.#cluster.openMembership()
    return { old, fresh: this.#cluster.add(), removesFirst: members.length > 2 && this.#random.chance(REMOVE_FIRST_RATIO) }
  }

  /** Until something cannot be done yet. */
  async #carryOn(replacement: Replacement): Promise<void> {
    const { old, fresh, removesFirst } = replacement
    const removes: Order = { action: 'remove', node: old.id }
    const adds: readonly Order[] = [
      { action: 'add', node: fresh.id, address: addressOf(fresh.id) },
      { action: 'promote', node: fresh.id },
    ]
    for (const order of removesFirst ? [removes, ...adds] : [...adds, removes]) {
      if (this.#stopped || !(await this.#give(order))) return
      // Nobody may take it for a member that is only down: it does not know that it is none.
      if (order === removes) this.#cluster.retire(old.id)
    }
    this.#replacement = undefined
    this.#replaced++
    this.#cluster.closeMembership(old.id, fresh.id)
  }

  #transferLater(periodMs: number): void {
    this.#cluster.world.schedule('fault', undefined, this.#random.delayMs(periodMs), () => {
      if (this.#settling || this.#stopped) return
      const group = this.#random.chance(ALL_GROUPS_RATIO) ? undefined : this.#random.pick(META_GROUPS)
      const { id } = this.#random.pick(this.#cluster.members())
      this.#transfers++
      void this.#give({ action: 'transfer', node: id, group }).then(() => {
        this.#transfers--
        this.#transferLater(periodMs)
      })
    })
  }

  /** Whether it was done. */
  #give(order: Order): Promise<boolean> {
    const { note } = this.#cluster
    note(`order: ${Object.values(order).join(' ')}`)
    const options = { file: undefined, settings: [], via: undefined, timeoutMs: ORDER_MS, isJson: false }
    const output = { out: note, err: note }
    const addresses = new Map(this.#cluster.members().map(({ id }) => [id, addressOf(id)]))
    return runCtl({ kind: 'ctl', order, options }, addresses, this.#access, this.#clock, output)
  }
}
