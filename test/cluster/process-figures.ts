// SPDX-License-Identifier: Apache-2.0
// What the operating system and the server itself say of a running server.
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ServerProcess, TestLife } from './server-process.ts'

/** Resident memory in KiB: now, and at its highest. Linux. */
export function residentKiB({ pid }: ServerProcess): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1])
  return { now: field('VmRSS'), peak: field('VmHWM') }
}

/** Open sockets. Linux. Files are left out: the store opens and closes tables when it likes. */
export function sockets({ pid }: ServerProcess): number {
  const directory = `/proc/${pid}/fd`
  return readdirSync(directory).filter((name) => targetOf(`${directory}/${name}`).startsWith('socket:')).length
}

/** What a link points to; '' when it is gone by now. */
function targetOf(link: string): string {
  try {
    return readlinkSync(link)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

export const fetchText = async ({ httpPort }: ServerProcess, path: string): Promise<{ readonly status: number; readonly text: string }> => {
  const response = await fetch(`http://127.0.0.1:${httpPort}${path}`)
  return { status: response.status, text: await response.text() }
}

/** The values of series, named as /metrics prints them, labels included, at one moment. */
export async function metrics(server: ServerProcess, ...series: readonly string[]): Promise<readonly number[]> {
  const lines = (await fetchText(server, '/metrics')).text.split('\n')
  return series.map((name) => {
    const line = lines.find((candidate) => candidate.startsWith(`${name} `))
    if (line === undefined) throw new Error(`/metrics has no ${name}`)
    return Number(line.slice(name.length + 1))
  })
}

export const metric = async (server: ServerProcess, series: string): Promise<number> => (await metrics(server, series))[0] as number

/** Asks again and again until the value is as wanted; gives up when the test's own timeout does. */
export async function untilMetric(server: ServerProcess, series: string, wanted: (value: number) => boolean): Promise<number> {
  for (;;) {
    const value = await metric(server, series)
    if (wanted(value)) return value
  }
}

/**
 * Makes a server collect its garbage when asked, so that what is left is really held. A snapshot of the heap is taken for it, which begins with a
 * full collection; the snapshot itself is not looked at.
 */
export class GarbageCollection {
  readonly #directory: string

  constructor(context: TestLife) {
    this.#directory = mkdtempSync(join(tmpdir(), 'robustmq-heap-'))
    context.after(() => rmSync(this.#directory, { recursive: true, force: true }))
  }

  /** For the environment of the server. */
  get environment(): Readonly<Record<string, string>> {
    return { NODE_OPTIONS: `--heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${this.#directory}` }
  }

  async collect(server: ServerProcess): Promise<void> {
    const before = readdirSync(this.#directory).length
    process.kill(server.pid, 'SIGUSR2')
    // The server answers nothing while it takes the snapshot, which is there when it answers again.
    do await fetchText(server, '/health/live')
    while (readdirSync(this.#directory).length === before)
    await fetchText(server, '/health/live')
  }
}
