// SPDX-License-Identifier: Apache-2.0
// A snapshot on its way to another node: slow, and it may break in the middle, arrive twice, or arrive without its sender being told (R38, R40).
import type { NodeId, TransportHandler } from '#base/port/peer-transport'
import { type Life, never } from '../life.ts'
import type { SimRandom } from '../random.ts'
import type { World } from '../world.ts'
import type { SnapshotConditions } from './conditions.ts'

export interface StreamSurroundings {
  readonly world: World
  readonly random: SimRandom
  passes(from: NodeId, to: NodeId): boolean
}

export class SnapshotStream {
  readonly from: NodeId
  readonly to: NodeId
  readonly #network: StreamSurroundings
  readonly #sender: Life
  readonly #receiver: Life
  readonly #conditions: SnapshotConditions
  #broken: Error | undefined
  readonly #onBroken: ((reason: Error) => void)[] = []

  constructor(network: StreamSurroundings, sender: Life, receiver: Life, conditions: SnapshotConditions) {
    this.from = sender.node
    this.to = receiver.node
    this.#network = network
    this.#sender = sender
    this.#receiver = receiver
    this.#conditions = conditions
  }

  isBetween(a: NodeId, b: NodeId): boolean {
    return (this.from === a && this.to === b) || (this.from === b && this.to === a)
  }

  abort(why: string): void {
    if (this.#broken !== undefined) return
    this.#broken = new Error(`the snapshot from node ${this.from} to node ${this.to} broke: ${why}`)
    for (const tell of this.#onBroken) tell(this.#broken)
  }

  /** Resolves when the receiver has taken it; rejects when it has not, or the sender cannot know. */
  async carry(header: Buffer, chunks: AsyncIterable<Buffer>, handler: TransportHandler): Promise<void> {
    const received: Buffer[] = []
    const inbox = new ChunkQueue(this.#receiver)
    const taken = this.#handOver(handler, header, inbox)
    try {
      for await (const chunk of chunks) {
        await this.#pass(this.#receiver)
        received.push(Buffer.from(chunk))
        inbox.push(chunk)
      }
      await this.#pass(this.#receiver)
      inbox.end()
    } catch (error) {
      inbox.fail(error)
      throw error
    }
    await this.#orBroken(taken)
    this.#repeat(handler, header, received)
    if (this.#network.random.chance(this.#conditions.denyRatio)) throw new Error('the answer to a snapshot was lost')
  }

  /** One step of the way, at the end of which `life` acts. */
  async #pass(life: Life): Promise<void> {
    const { world, random } = this.#network
    const step = new Promise<void>((resolve) => {
      world.schedule('network', life, random.delayMs(this.#conditions.chunkMs), resolve)
    })
    await this.#orBroken(step)
    if (random.chance(this.#conditions.breakRatio)) this.abort('of itself')
    if (!this.#network.passes(this.from, this.to)) this.abort('nothing gets through')
    if (this.#broken !== undefined) throw this.#broken
  }

  /** The receiver works while chunks come. Settles in the sender's process. */
  #handOver(handler: TransportHandler, header: Buffer, chunks: AsyncIterable<Buffer>): Promise<void> {
    const { world } = this.#network
    const taken = new Promise<void>((resolve, reject) => {
      const answer = (settle: () => void): void => {
        world.schedule('network', this.#sender, this.#network.random.delayMs(this.#conditions.chunkMs), settle)
      }
      world.schedule('network', this.#receiver, 0, () => {
        this.#receiver.guard(handler.onSnapshot(this.from, header, chunks)).then(
          () => answer(resolve),
          (error: unknown) => answer(() => reject(error)),
        )
      })
    })
    taken.catch(() => this.abort('it was not taken'))
    return taken
  }

  #orBroken<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#broken !== undefined) return reject(this.#broken)
      this.#onBroken.push(reject)
      work.then(resolve, reject)
    })
  }

  #repeat(handler: TransportHandler, header: Buffer, received: readonly Buffer[]): void {
    const { world, random } = this.#network
    if (!random.chance(this.#conditions.repeatRatio)) return
    world.schedule('network', this.#receiver, random.fraction() * 5_000, () => {
      // Nobody waits for what becomes of it.
      handler.onSnapshot(this.from, header, again(received)).catch(() => {})
    })
  }
}

async function* again(chunks: readonly Buffer[]): AsyncGenerator<Buffer, void> {
  yield* chunks
}

/** Chunks that have arrived, for the receiver to take at its own pace. A process that has ended waits for ever. */
class ChunkQueue implements AsyncIterable<Buffer> {
  readonly #life: Life
  readonly #chunks: Buffer[] = []
  #ended = false
  #failure: unknown
  #wake: (() => void) | undefined

  constructor(life: Life) {
    this.#life = life
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#wake?.()
  }

  end(): void {
    this.#ended = true
    this.#wake?.()
  }

  fail(reason: unknown): void {
    this.#failure = reason
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    for (;;) {
      if (!this.#life.alive) return never()
      const chunk = this.#chunks.shift()
      if (chunk !== undefined) yield chunk
      else if (this.#failure !== undefined) throw this.#failure
      else if (this.#ended) return
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
  }
}
