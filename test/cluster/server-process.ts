// SPDX-License-Identifier: Apache-2.0
// A real node in a process of its own, with a data directory that outlives it.
import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const EXECUTABLE = fileURLToPath(new URL('../../roles/robustmq.cjs', import.meta.url))

export interface ServerOptions {
  readonly directory: string
  /** 'mqtt.max_qos=1' */
  readonly settings?: readonly string[]
  /** Text of a configuration file, which is put into the directory. */
  readonly config?: string
  readonly environment?: Readonly<Record<string, string>>
  /** Put before the executable, e.g. a wrapper that limits what the process may do. */
  readonly prefix?: readonly string[]
  /** The test that it belongs to: whatever is left of the process when that ends is killed. */
  readonly context?: TestLife
}

/** What is needed of a test's context. */
export interface TestLife {
  after(fn: () => Promise<void> | void): void
}

/** Tests run side by side: none of them may take a port that it has not chosen. */
const NO_FIXED_PORTS = ['mqtt.tls_port=0', 'mqtt.ws_port=0', 'mqtt.wss_port=0']

export class ServerProcess {
  readonly port: number
  readonly httpPort: number
  readonly #child: ChildProcess
  readonly #configFile: string
  readonly #exit: Promise<number | string>
  #stdout = ''
  #stderr = ''

  private constructor(child: ChildProcess, port: number, httpPort: number, configFile = '') {
    this.#child = child
    this.#configFile = configFile
    this.port = port
    this.httpPort = httpPort
    child.stdout?.on('data', (chunk: Buffer) => {
      this.#stdout += chunk.toString()
    })
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString()
    })
    this.#exit = once(child, 'close').then(([code, signal]) => (code as number | null) ?? (signal as string))
  }

  /** Starts a node on free ports; resolves when it is ready. Rejects with what it wrote when it ends instead. */
  static async start(options: ServerOptions): Promise<ServerProcess> {
    const server = await ServerProcess.spawn(options)
    await server.untilReady()
    return server
  }

  /** Starts the process and does not wait. */
  static async spawn({ directory, config, settings = [], environment = {}, prefix = [], context }: ServerOptions): Promise<ServerProcess> {
    const [port, httpPort] = [await freePort(), await freePort()]
    const all = [`data_path=${directory}`, `mqtt.tcp_port=${port}`, `http_port=${httpPort}`, ...NO_FIXED_PORTS, ...settings]
    const file = join(directory, 'config.toml')
    if (config !== undefined) writeFileSync(file, config)
    const words = [...(config === undefined ? [] : ['--config', file]), ...all.flatMap((setting) => ['--set', setting])]
    const server = new ServerProcess(launch(words, prefix, environment), port, httpPort, file)
    context?.after(() => server.kill())
    return server
  }

  /** Runs the executable with any command line. */
  static async run(words: readonly string[]): Promise<ServerProcess> {
    return new ServerProcess(launch(words, [], {}), 0, 0)
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

  /** Resolves when it serves; rejects when it ends instead. */
  untilReady(): Promise<void> {
    return this.untilWritten('ready')
  }

  /** Resolves when the words have appeared in what it writes; rejects when it ends before. */
  async untilWritten(words: string): Promise<void> {
    const ended = this.#exit.then((code) => {
      throw new Error(`the node ended with ${code} before it wrote '${words}':\n${this.#stderr}`)
    })
    const written = new Promise<void>((resolve) => {
      const check = (): void => {
        if (this.#stdout.includes(words) || this.#stderr.includes(words)) resolve()
      }
      this.#child.stdout?.on('data', check)
      this.#child.stderr?.on('data', check)
      check()
    })
    await Promise.race([written, ended])
  }

  /** Has the configuration file read again with another text; resolves when the node has taken it, or refused it. */
  async reload(config: string): Promise<void> {
    const answers = (): number => this.#stderr.split('reloaded').length
    const before = answers()
    writeFileSync(this.#configFile, config)
    const answered = new Promise<void>((resolve) => {
      this.#child.stderr?.on('data', () => {
        if (answers() > before) resolve()
      })
    })
    this.#child.kill('SIGHUP')
    await Promise.race([answered, this.#exit])
  }

  /** Ends the process without a word; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exit
  }

  /** Asks it to stop; resolves with its exit code. */
  async stop(signal: 'SIGTERM' | 'SIGINT' = 'SIGTERM'): Promise<number | string> {
    this.#child.kill(signal)
    return this.#exit
  }
}

function launch(words: readonly string[], prefix: readonly string[], environment: Readonly<Record<string, string>>): ChildProcess {
  const [command, ...rest] = [...prefix, process.execPath, EXECUTABLE, ...words]
  return spawn(command as string, rest, { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Below the ports of outgoing connections, one of which would otherwise take the port between this look at it and the start of the server. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORT_MIN, OUTGOING_PORT_MIN)
    if (await isFree(port)) return port
  }
}

const PORT_MIN = 10_000
/** Linux takes them from here on, others from higher up. */
const OUTGOING_PORT_MIN = 32_768

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })

/** A directory for one test, removed after it. */
export function temporaryDirectory(context: TestLife): string {
  const directory = mkdtempSync(join(tmpdir(), 'robustmq-'))
  // A test that failed may leave a server behind that is killed only after this.
  context.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }))
  return directory
}
