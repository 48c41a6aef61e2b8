// SPDX-License-Identifier: Apache-2.0
// A real node in a process of its own, with a data directory that outlives it.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const EXECUTABLE = fileURLToPath(new URL('../../roles/robustmq.cjs', import.meta.url))

export interface ServerOptions {
  readonly directory: string
  /** 'mqtt.max_qos=1' */
  readonly settings?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  /** Put before the executable, e.g. a wrapper that limits what the process may do. */
  readonly prefix?: readonly string[]
}

export class ServerProcess {
  readonly port: number
  readonly httpPort: number
  readonly #child: ChildProcess
  readonly #exit: Promise<number | string>
  #stdout = ''
  #stderr = ''

  private constructor(child: ChildProcess, port: number, httpPort: number) {
    this.#child = child
    this.port = port
    this.httpPort = httpPort
    child.stdout?.on('data', (chunk: Buffer) => {
      this.#stdout += chunk.toString()
    })
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString()
    })
    this.#exit = once(child, 'exit').then(([code, signal]) => (code as number | null) ?? (signal as string))
  }

  /** Starts a node on free ports; resolves when it is ready. Rejects with what it wrote when it ends instead. */
  static async start(options: ServerOptions): Promise<ServerProcess> {
    const server = await ServerProcess.spawn(options)
    await server.untilReady()
    return server
  }

  /** Starts the process and does not wait. */
  static async spawn({ directory, settings = [], environment = {}, prefix = [] }: ServerOptions): Promise<ServerProcess> {
    const [port, httpPort] = [await freePort(), await freePort()]
    const all = [`data_path=${directory}`, `mqtt.tcp_port=${port}`, `http_port=${httpPort}`, ...settings]
    const [command, ...rest] = [...prefix, process.execPath, EXECUTABLE, ...all.flatMap((setting) => ['--set', setting])]
    const child = spawn(command as string, rest, { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] })
    return new ServerProcess(child, port, httpPort)
  }

  get pid(): number {
    return this.#child.pid as number
  }

  get stderr(): string {
    return this.#stderr
  }

  get stdout(): string {
    return this.#stdout
  }

  /** Exit code, or the signal that ended it. */
  get exited(): Promise<number | string> {
    return this.#exit
  }

  async untilReady(): Promise<void> {
    const ended = this.#exit.then((code) => {
      throw new Error(`the node ended with ${code} before it was ready:\n${this.#stderr}`)
    })
    const ready = new Promise<void>((resolve) => {
      const check = (): void => {
        if (this.#stdout.includes('ready')) resolve()
      }
      this.#child.stdout?.on('data', check)
      check()
    })
    await Promise.race([ready, ended])
  }

  /** Ends the process without a word; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exit
  }

  /** Asks it to stop; resolves with its exit code. */
  async stop(): Promise<number | string> {
    this.#child.kill('SIGTERM')
    return this.#exit
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** A directory for one test, removed after it. */
export function temporaryDirectory(context: { after(fn: () => void): void }): string {
  const directory = mkdtempSync(join(tmpdir(), 'robustmq-'))
  context.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}
