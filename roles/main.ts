// SPDX-License-Identifier: Apache-2.0
// From the command line to the exit code. The only file that ends the process.
import { readFileSync } from 'node:fs'
import { assertNever } from '#base/assert'
import type { LoadedConfig } from '#base/config/load'
import { renderEffective } from '#base/config/render'
import type { Config } from '#base/config/schema'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { CTL_USAGE, type CtlCommand } from '#cli'
import { type Command, type ConfigOptions, HELP, parseArguments } from './arguments.ts'
import { openClusterGrpc } from './cluster-grpc.ts'
import { composeNode } from './compose.ts'
import { type ConfigReading, readConfig } from './configuration.ts'
import { CrashPath, lastWords } from './crash-path.ts'
import { runOperatorCommand } from './ctl.ts'
import { hashPassword } from './hash-password.ts'
import { Node } from './node.ts'
import { type EarlyPorts, logComponent, openEarlyPorts, openPorts, type RealPorts, storeComponent } from './ports.ts'
import { Reloader } from './reloader.ts'

const EXIT = { clean: 0, failure: 1, usage: 2 } as const
/** npm sends the signal on that the terminal has already sent to the whole group: that is one wish, not two. */
const SIGNAL_ECHO_MS = 100

const crashPath = new CrashPath({
  say,
  after: (delayMs, fire) => setTimeout(fire, delayMs),
  exit: (code) => process.exit(code),
  kill: () => process.kill(process.pid, 'SIGKILL'),
})

process.on('uncaughtException', crash)
process.on('unhandledRejection', crash)
await main(parseArguments(process.argv.slice(2)))

async function main(command: Command): Promise<void> {
  switch (command.kind) {
    case 'misused':
      say(`${command.problem}; robustmq --help shows the options`)
      return process.exit(EXIT.usage)
    case 'ctl':
      return process.exit((await administer(command)) ? EXIT.clean : EXIT.failure)
    case 'ctl-misused':
      say(command.problem)
      process.stderr.write(CTL_USAGE)
      return process.exit(EXIT.usage)
    case 'ctl-help':
      process.stdout.write(CTL_USAGE)
      return process.exit(EXIT.clean)
    case 'help':
      process.stdout.write(HELP)
      return process.exit(EXIT.clean)
    case 'version':
      process.stdout.write(`robustmq ${version()}\n`)
      return process.exit(EXIT.clean)
    case 'hash-password': {
      const line = await hashPassword(command.form, process.stdin)
      if (line === undefined) say('standard input holds no password')
      else process.stdout.write(line)
      return process.exit(line === undefined ? EXIT.usage : EXIT.clean)
    }
    case 'check':
      load(command)
      process.stdout.write('the configuration is valid\n')
      return process.exit(EXIT.clean)
    case 'print-config':
      process.stdout.write(renderEffective(load(command).settings))
      return process.exit(EXIT.clean)
    case 'run':
      return run(command, load(command))
    default:
      return assertNever(command)
  }
}

/** The configuration, or the end of the process with all that is wrong with it. */
function load(options: ConfigOptions): LoadedConfig {
  const reading = read(options)
  if (reading.kind === 'loaded') return reading
  for (const problem of reading.problems) say(problem)
  process.exit(EXIT.usage)
}

function read(options: ConfigOptions): ConfigReading {
  return readConfig(options, { environment: process.env, readFile: (name) => readFileSync(name, 'utf8') })
}

async function administer(command: CtlCommand): Promise<boolean> {
  const { config } = load(command.options)
  try {
    return await runOperatorCommand(command, config, {
      out: (text) => process.stdout.write(text),
      err: (text) => process.stderr.write(text),
    })
  } catch (error) {
    if (!isPlatformError(error, ERROR_CODES.configInvalid)) throw error
    say(error.message)
    return process.exit(EXIT.usage)
  }
}

async function run(options: ConfigOptions, loaded: LoadedConfig): Promise<void> {
  const { config } = loaded
  // A node does not die of a log reader that went away.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
  const early = openEarlyPorts(config, (line) => crashPath.begun || process.stderr.write(line))
  const node = new Node(early.clock, early.logger)
  const reloader = new Reloader(early.logger, () => read(options), node, loaded)
  process.on('SIGHUP', () => reloader.request())
  stopOnSignals(node, early)
  early.logger.log('info', 'starting', { version: version(), node: config.nodeId, data: config.dataPath })
  try {
    const ports = await openPorts(early, config, crash)
    crashPath.closes(ports.kv)
    early.logger.log('info', 'opened the data', { disk: ports.identity.diskId })
    declareInfo(ports, config)
    const view = { unready: () => node.unready(), warnings: () => node.warnings(), metrics: ports.metrics }
    const cluster = config.metaAddrs.length === 0 ? undefined : await openClusterGrpc(ports, config)
    const outcome = await node.start([logComponent(early), storeComponent(ports), ...composeNode(ports, config, view, cluster)])
    if (outcome === 'stopped') return
    reloader.open()
    process.stdout.write(`robustmq ${version()} ready: ${node.addresses().join(', ')}\n`)
  } catch (error) {
    crashPath.end(`cannot start: ${lastWords(error)}`, isPlatformError(error, ERROR_CODES.configInvalid) ? EXIT.usage : EXIT.failure)
  }
}

function stopOnSignals(node: Node, { clock, logger }: EarlyPorts): void {
  let stoppingSinceMs: number | undefined
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stoppingSinceMs === undefined) {
      stoppingSinceMs = clock.monotonic()
      logger.log('info', 'stopping', { signal })
      void stopAndExit(node)
    } else if (clock.monotonic() - stoppingSinceMs > SIGNAL_ECHO_MS) {
      say(`${signal} while stopping: ended at once`)
      process.exit(EXIT.failure)
    }
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
}

async function stopAndExit(node: Node): Promise<void> {
  const outcome = await node.stop()
  if (outcome.kind === 'unclean') for (const problem of outcome.problems) say(`not stopped cleanly: ${problem}`)
  process.exit(outcome.kind === 'clean' ? EXIT.clean : EXIT.failure)
}

/** The customary way to join names and versions to the other metrics of a node. */
function declareInfo({ metrics }: RealPorts, config: Config): void {
  const labels = { cluster: config.clusterName, node: String(config.nodeId), version: version() }
  metrics.gauge('robustmq_info', 'Always 1; the labels say which node this is and what it runs.', () => 1, labels)
}

function say(line: string): void {
  process.stderr.write(`robustmq: ${line}\n`)
}

/** The last words of the process (RELIABILITY R48). */
function crash(reason: unknown): void {
  crashPath.crash(reason, EXIT.failure)
}

/** This file runs from dist/roles. */
function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { readonly version: string }).version
}
