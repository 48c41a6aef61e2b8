// SPDX-License-Identifier: Apache-2.0
// Stands in front of a port, and can be shut: what is under way stays where it is, as with a cut cable. Nobody is told.
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { TestLife } from './server-process.ts'

interface Passage {
  readonly client: Socket
  readonly server: Socket
  isOpen: boolean
}

export class TcpGate {
  readonly port: number
  readonly #passages = new Set<Passage>()
  #isClosed = false
  readonly #shunned = new Set<number>()

  static async open(context: TestLife, target: number): Promise<TcpGate> {
    const listener = createServer()
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const gate = new TcpGate((listener.address() as AddressInfo).port)
    listener.on('connection', (client) => gate.#pass(client, target))
    context.after(() => {
      listener.close()
      for (const { client, server } of gate.#passages) for (const socket of [client, server]) socket.destroy()
    })
    return gate
  }

  private constructor(port: number) {
    this.port = port
  }

  /** Nothing passes, whoever sends it. */
  close(): void {
    this.#isClosed = true
    this.#update()
  }

  /** Nothing passes that this process sends. */
  closeTo(pid: number): void {
    this.#shunned.add(pid)
    this.#update()
  }

  reopen(): void {
    this.#isClosed = false
    this.#shunned.clear()
    this.#update()
  }

  #pass(client: Socket, target: number): void {
    const server = connect(target, '127.0.0.1')
    const passage: Passage = { client, server, isOpen: false }
    this.#passages.add(passage)
    const end = (): void => {
      this.#passages.delete(passage)
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) socket.on('error', end).on('close', end)
    this.#updateOne(passage)
  }

  #update(): void {
    for (const passage of this.#passages) this.#updateOne(passage)
  }

  #updateOne(passage: Passage): void {
    const { client, server } = passage
    const isOpen = !this.#isClosed && ![...this.#shunned].some((pid) => ownsPort(pid, client.remotePort ?? 0))
    if (isOpen === passage.isOpen) return
    passage.isOpen = isOpen
    if (isOpen) {
      client.pipe(server)
      server.pipe(client)
    } else {
      client.unpipe(server)
      server.unpipe(client)
      client.pause()
      server.pause()
    }
  }
}

/** Whether a socket of the process has that local port (Linux: /proc). */
function ownsPort(pid: number, port: number): boolean {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const inodes = readFileSync(`/proc/${pid}/net/tcp`, 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(wanted))
    .map((fields) => `socket:[${fields[9]}]`)
  return readdirSync(`/proc/${pid}/fd`).some((descriptor) => inodes.includes(linkOf(`/proc/${pid}/fd/${descriptor}`)))
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
