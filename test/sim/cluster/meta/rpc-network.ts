// SPDX-License-Identifier: Apache-2.0
// The RpcServer of each process and the RpcClient of whoever calls it, over ways that delay, lose, break, and bring a request long after its caller has given up.
import type { Component } from '#base/component'
import { isPlatformError, messageOf, PlatformError } from '#base/error'
import { ERROR_CODES, type ErrorCode } from '#base/error-code'
import type { NodeId } from '#base/port/peer-transport'
import type { RpcClient, RpcPeer, RpcServer, RpcService } from '#contract/client/rpc'
import type { Life } from '../../life.ts'
import type { SimRandom } from '../../random.ts'
import type { World } from '../../world.ts'
import type { RpcConditions } from './rpc-conditions.ts'
import { RpcCallStream, type StreamSurroundings } from './rpc-stream.ts'

export interface Endpoint {
  readonly life: Life
  readonly services: Map<string, RpcService>
  serving: boolean
}

/** A call that a process has begun to serve. */
interface ServedCall {
  readonly life: Life
  readonly broken: () => void
}

export class RpcNetwork implements StreamSurroundings {
  readonly world: World
  readonly random: SimRandom
  conditions: RpcConditions
  readonly #endpoints = new Map<NodeId, Endpoint>()
  readonly #served = new Set<ServedCall>()
  readonly #streams = new Set<RpcCallStream>()

  constructor(world: World, random: SimRandom, conditions: RpcConditions) {
    this.world = world
    this.random = random
    this.conditions = conditions
    world.addChecker(() => this.#look())
  }

  serverFor(life: Life): Component & RpcServer {
    const endpoint: Endpoint = { life, services: new Map(), serving: false }
    this.#endpoints.set(life.node, endpoint)
    return {
      name: 'rpc',
      start: async () => {
        endpoint.serving = true
      },
      stop: async () => {
        endpoint.serving = false
        for (const stream of this.#streams) if (stream.life === life) stream.break()
      },
      register: (name, service) => {
        endpoint.services.set(name, service)
      },
    }
  }

  clientFor(peer: RpcPeer): RpcClient {
    return {
      unary: (to, call, request, deadlineMs) => this.#unary(to, call, request, deadlineMs, peer),
      serverStream: (to, call, request, handler) => {
        const stream = new RpcCallStream(this, handler)
        this.#streams.add(stream)
        this.later(this.#delayMs(), () => {
          const endpoint = this.#endpointAt(to)
          const open = endpoint?.services.get(serviceOf(call))?.serverStream.get(methodOf(call))
          if (endpoint === undefined || open === undefined) stream.break()
          else stream.serve(endpoint.life, (sink) => open(request, sink, peer))
        })
        return stream
      },
    }
  }

  /** The process that serves a node's calls, if one does. */
  endpoint(node: NodeId): Endpoint | undefined {
    return this.#endpointAt(node)
  }

  // For streams.

  later(delayMs: number, act: () => void, life?: Life): void {
    this.world.schedule('network', life, delayMs, act)
  }

  delayMs(): number {
    return this.random.delayMs(this.conditions.delayMsMean)
  }

  ended(stream: RpcCallStream): void {
    this.#streams.delete(stream)
  }

  #unary(to: NodeId, call: string, request: Buffer, deadlineMs: number, peer: RpcPeer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      let served: ServedCall | undefined
      let settled = false
      const settle = (act: () => void): void => {
        if (settled) return
        settled = true
        if (served !== undefined) this.#served.delete(served)
        act()
      }
      const fail = (code: ErrorCode, text: string): void => settle(() => reject(new PlatformError(code, text)))
      const unknown = (): void => fail(ERROR_CODES.outcomeUnknown, `node ${to} has not answered`)
      this.later(Math.max(0, deadlineMs), unknown)
      if (this.random.chance(this.conditions.breakRatio)) this.later(this.delayMs(), unknown)
      if (this.random.chance(this.conditions.lossRatio)) return
      this.later(this.#delayMs(), () => {
        const endpoint = this.#endpointAt(to)
        if (endpoint === undefined) return this.later(this.delayMs(), () => fail(ERROR_CODES.unreachable, `node ${to} is not there`))
        served = { life: endpoint.life, broken: unknown }
        if (!settled) this.#served.add(served)
        this.later(0, () => this.#serve(endpoint, call, request, peer, (act) => settle(act), resolve, reject), endpoint.life)
      })
    })
  }

  /** In the process of the server. */
  #serve(
    endpoint: Endpoint,
    call: string,
    request: Buffer,
    peer: RpcPeer,
    settle: (act: () => void) => void,
    resolve: (answer: Buffer) => void,
    reject: (error: PlatformError) => void,
  ): void {
    const answer = (act: () => void): void => {
      if (!this.random.chance(this.conditions.lossRatio)) this.later(this.delayMs(), () => settle(act))
    }
    const handler = endpoint.services.get(serviceOf(call))?.unary.get(methodOf(call))
    if (handler === undefined) {
      answer(() => reject(new PlatformError(ERROR_CODES.unreachable, `nobody serves ${call}`)))
      return
    }
    handler(request, peer).then(
      (message) => answer(() => resolve(message)),
      (error: unknown) => {
        // Only code and words travel. What is no PlatformError is a bug of the service.
        if (isPlatformError(error)) answer(() => reject(new PlatformError(error.code, error.message)))
        else if (endpoint.life.alive) this.world.fail(new Error(`${call} threw: ${messageOf(error)}`, { cause: error }))
      },
    )
  }

  #endpointAt(node: NodeId): Endpoint | undefined {
    const endpoint = this.#endpoints.get(node)
    return endpoint?.life.alive && endpoint.serving ? endpoint : undefined
  }

  /** Connections to a process that has ended break. */
  #look(): void {
    for (const call of this.#served) {
      if (call.life.alive) continue
      this.#served.delete(call)
      this.later(this.delayMs(), call.broken)
    }
    for (const stream of this.#streams) if (stream.life?.alive === false) stream.break()
  }

  #delayMs(): number {
    const { tailRatio, tailMs } = this.conditions
    return this.delayMs() + (this.random.chance(tailRatio) ? this.random.fraction() * tailMs : 0)
  }
}

const serviceOf = (call: string): string => call.slice(0, call.indexOf('/'))
const methodOf = (call: string): string => call.slice(call.indexOf('/') + 1)
