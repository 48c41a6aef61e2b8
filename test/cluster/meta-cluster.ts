// SPDX-License-Identifier: Apache-2.0
// A cluster of real processes that share metadata, a client of its key-value store, and histories of what several clients saw.
import assert from 'node:assert/strict'
import { mkdirSync, rmSync } from 'node:fs'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { KvClient } from '#contract/client/kv-client'
import type { MetaGroupStatus } from '#contract/client/meta-admin-client'
import { ClusterKvClient, RpcAdminClient, RpcKvClient } from '#meta'
import { CryptoRandom, NodeClock } from '#runtime'
import { createOperatorClient, type OperatorClient } from '#server'
import { checkLinearizable, type Model, type Operation } from '../sim/cluster/checker/linearizability.ts'
import { pretending, type Release } from './release.ts'
import { freePort, ServerProcess, type TestLife, temporaryDirectory } from './server-process.ts'

const SECRET = 'a_secret_of_this_test'

export interface MetaClusterOptions {
  readonly nodes?: number
  /** Address at which the others reach a node, when that is not where it listens. */
  readonly reach?: (node: number, port: number) => Promise<string>
  /** That the nodes pretend to be of, instead of what they are. */
  readonly release?: Release
}

/** How a command of the operator went. */
export interface CommandOutcome {
  readonly code: number | string
  readonly stdout: string
  readonly stderr: string
}

export class MetaCluster {
  readonly #context: TestLife
  readonly #directory: string
  readonly #ports: Map<number, number>
  readonly #reached: ReadonlyMap<number, string>
  readonly #processes = new Map<number, ServerProcess>()
  readonly #operator: OperatorClient

  static async start(context: TestLife, { nodes = 3, reach, release }: MetaClusterOptions = {}): Promise<MetaCluster> {
    const ports = new Map<number, number>()
    const reached = new Map<number, string>()
    for (let node = 1; node <= nodes; node++) {
      const port = await freePort()
      ports.set(node, port)
      reached.set(node, (await reach?.(node, port)) ?? `127.0.0.1:${port}`)
    }
    const cluster = new MetaCluster(context, ports, reached)
    await Promise.all([...ports.keys()].map((node) => cluster.spawn(node, release)))
    await Promise.all([...ports.keys()].map((node) => cluster.process(node).untilReady()))
    return cluster
  }

  private constructor(context: TestLife, ports: Map<number, number>, reached: ReadonlyMap<number, string>) {
    this.#context = context
    this.#directory = temporaryDirectory(context)
    this.#ports = ports
    this.#reached = reached
    this.#operator = createOperatorClient(
      { clock: new NodeClock(), random: new CryptoRandom(), logger: SILENT },
      { clusterName: 'robustmq', nodeId: 1 },
      { protection: { secret: SECRET, tls: undefined }, messageBytesMax: 1 << 24 },
    )
    this.#meetOperator()
    context.after(() => this.#operator.close())
  }

  get nodes(): readonly number[] {
    return [...this.#ports.keys()]
  }

  process(node: number): ServerProcess {
    const found = this.#processes.get(node)
    assert.ok(found, `node ${node} was started`)
    return found
  }

  /** Starts the process of a node, with the data that it had, and does not wait. */
  spawn(node: number, release?: Release): Promise<ServerProcess> {
    return this.#spawn(node, [`meta_addrs=${this.#addresses()}`], release)
  }

  /** The same for a node that is not one of the founders, and knows no more than its own address and that of one member. */
  async spawnJoiner(node: number, member: number): Promise<ServerProcess> {
    if (!this.#ports.has(node)) this.#ports.set(node, await freePort())
    this.#meetOperator()
    const addresses = `${member}=${this.addressOf(member)},${node}=${this.addressOf(node)}`
    return this.#spawn(node, [`meta_addrs=${addresses}`, 'join=true'])
  }

  addressOf(node: number): string {
    return this.#reached.get(node) ?? `127.0.0.1:${this.#ports.get(node)}`
  }

  /** Runs `robustmq ctl cluster` with what a founder has in its configuration. */
  async ctl(...words: readonly string[]): Promise<CommandOutcome> {
    const settings = ['roles=meta', `meta_addrs=${this.#addresses()}`, `cluster.secret=${SECRET}`]
    const command = await ServerProcess.run(['ctl', 'cluster', ...settings.flatMap((setting) => ['--set', setting]), ...words])
    const code = await command.exited
    return { code, stdout: command.stdout, stderr: command.stderr }
  }

  async #spawn(node: number, settings: readonly string[], release?: Release): Promise<ServerProcess> {
    const directory = `${this.#directory}/${node}`
    mkdirSync(directory, { recursive: true })
    const process = await ServerProcess.spawn({
      directory,
      settings: [`node_id=${node}`, 'roles=meta', `grpc_port=${this.#ports.get(node)}`, `cluster.secret=${SECRET}`, ...settings],
      environment: release === undefined ? {} : pretending(release),
      context: this.#context,
    })
    this.#processes.set(node, process)
    return process
  }

  /** Of the founders. */
  #addresses(): string {
    return [...this.#reached].map(([id, address]) => `${id}=${address}`).join(',')
  }

  /** As if its disk had been replaced by an empty one. */
  wipe(node: number): void {
    rmSync(`${this.#directory}/${node}`, { recursive: true })
  }

  /** A client that finds its way, beginning at that node. */
  client(first = 1): KvClient {
    const order = [first, ...this.nodes.filter((node) => node !== first)]
    return new ClusterKvClient(new Map(order.map((node) => [node, new RpcKvClient(this.#operator.client, node)])), new NodeClock())
  }

  /** The operator of the tests knows all nodes, past what stands between them. */
  #meetOperator(): void {
    this.#operator.setPeers(new Map([...this.#ports].map(([node, port]) => [node, `127.0.0.1:${port}`])))
  }

  status(node: number): Promise<readonly MetaGroupStatus[]> {
    return new RpcAdminClient(this.#operator.client, node).status()
  }

  admin(node: number): RpcAdminClient {
    return new RpcAdminClient(this.#operator.client, node)
  }

  /** Who leads the metadata group, as one of the nodes that answer knows. */
  async leader(among: readonly number[] = this.nodes): Promise<number> {
    for (;;) {
      for (const node of among) {
        const leader = await this.#leaderKnownTo(node)
        if (leader !== undefined && among.includes(leader)) return leader
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  async #leaderKnownTo(node: number): Promise<number | undefined> {
    try {
      const [metadata] = await this.status(node)
      return metadata?.leader === node ? node : undefined
    } catch (error) {
      if (isPlatformError(error, ERROR_CODES.unreachable) || isPlatformError(error, ERROR_CODES.outcomeUnknown)) return undefined
      throw error
    }
  }
}

const SILENT = { log: () => undefined, scope: () => SILENT }

type Call = { readonly kind: 'read' } | { readonly kind: 'write'; readonly value: string }
/** What a read saw; a write sees nothing. */
type Seen = string

const REGISTER: Model<string, Call, Seen> = {
  initial: '',
  step: (state, call, seen) => {
    if (call.kind === 'write') return call.value
    return seen === undefined || seen === state ? state : undefined
  },
  keyOf: (state) => state,
}

/** Clients that read and write a few registers until they are told to stop. Keeps what each saw and when. */
export class Registers {
  readonly #histories = new Map<string, Operation<Call, Seen>[]>()
  readonly #acknowledged = new Map<string, Set<string>>()
  #stopped = false
  #running: Promise<void>[] = []
  #writes = 0
  #waiting: { readonly writes: number; readonly resolve: () => void }[] = []

  run(client: KvClient, name: string, keys: readonly string[]): void {
    this.#running.push(this.#work(client, name, keys))
  }

  /** Resolves when so many more writes have been acknowledged than now. */
  progress(writes: number): Promise<void> {
    return new Promise((resolve) => this.#waiting.push({ writes: this.#writes + writes, resolve }))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#running)
  }

  /** Every key's history could have happened one call at a time. */
  check(): number {
    let operations = 0
    for (const [key, history] of this.#histories) {
      operations += history.length
      assert.equal(checkLinearizable(REGISTER, history), 'linearizable', `the history of ${key}`)
    }
    return operations
  }

  async #work(client: KvClient, name: string, keys: readonly string[]): Promise<void> {
    for (let count = 0; !this.#stopped; count++) {
      const key = keys[count % keys.length] as string
      const call: Call = count % 3 === 0 ? { kind: 'read' } : { kind: 'write', value: `${name} ${count}` }
      const called = performance.now()
      const output = await outputOf(client, key, call)
      const returned = output === undefined ? Number.POSITIVE_INFINITY : performance.now()
      const history = this.#histories.get(key) ?? []
      this.#histories.set(key, history)
      history.push({ input: call, output, called, returned })
      if (call.kind === 'write' && output !== undefined) this.#acknowledge(key, call.value)
    }
  }

  #acknowledge(key: string, value: string): void {
    const values = this.#acknowledged.get(key) ?? new Set()
    this.#acknowledged.set(key, values.add(value))
    this.#writes++
    const due = this.#waiting.filter(({ writes }) => writes <= this.#writes)
    this.#waiting = this.#waiting.filter(({ writes }) => writes > this.#writes)
    for (const { resolve } of due) resolve()
  }
}

/** Undefined when it is not known what became of the call. */
async function outputOf(client: KvClient, key: string, call: Call): Promise<Seen | undefined> {
  try {
    if (call.kind === 'write') {
      await client.put(Buffer.from(key), Buffer.from(call.value))
      return ''
    }
    const { item } = await client.get(Buffer.from(key))
    return item === undefined ? '' : item.value.toString()
  } catch (error) {
    assert.ok(isPlatformError(error), String(error))
    return undefined
  }
}
