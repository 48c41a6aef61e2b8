// SPDX-License-Identifier: Apache-2.0
// The executable as a user meets it: its output, its exit codes and its signals. Runs real processes.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { freePort } from '../../cluster/server-process.ts'
import { finished, launch, ready } from './robustmq-process.ts'

describe('robustmq', () => {
  let directory = ''
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'robustmq-process-'))
  })
  after(() => rm(directory, { recursive: true }))

  const options = (data: string, httpPort: number): string[] =>
    [`data_path=${join(directory, data)}`, `http_port=${httpPort}`, 'mqtt.tcp_port=0'].flatMap((setting) => ['--set', setting])

  it('--version and --help exit with 0', async () => {
    const version = await finished(['--version'])
    assert.deepEqual([version.code, version.stderr], [0, ''])
    assert.match(version.stdout, /^robustmq \d+\.\d+\.\d+\n$/)
    const help = await finished(['--help'])
    assert.deepEqual([help.code, help.stderr], [0, ''])
    assert.match(help.stdout, /^Usage: robustmq /)
  })

  it('wrong usage and wrong configuration exit with 2, and every mistake has a line', async () => {
    const usage = await finished(['--confg'])
    assert.deepEqual([usage.code, usage.stdout], [2, ''])
    assert.equal(usage.stderr, 'robustmq: --confg is not an option; robustmq --help shows the options\n')

    const file = join(directory, 'wrong.toml')
    await writeFile(file, '[mqtt]\nmax_qso = 1\n')
    const wrong = await finished(['--config', file, '--check'], { ROBUSTMQ_NODE_ID: '0' })
    assert.deepEqual([wrong.code, wrong.stdout], [2, ''])
    assert.deepEqual(wrong.stderr.split('\n'), [
      `robustmq: ${file}:2: mqtt.max_qso = 1: there is no such key, did you mean mqtt.max_qos?`,
      'robustmq: ROBUSTMQ_NODE_ID: node_id = "0": expected an integer from 1 to 65535',
      '',
    ])

    await writeFile(file, 'a = 1\nb = = 2\n')
    const malformed = await finished(['--config', file])
    assert.equal(malformed.code, 2)
    assert.ok(malformed.stderr.startsWith(`robustmq: ${file}:2:`), malformed.stderr)
    const missing = await finished(['--config', join(directory, 'none.toml')])
    assert.equal(missing.code, 2)
    assert.match(missing.stderr, /^robustmq: cannot read .*none\.toml: ENOENT/)
  })

  it('ctl without a command it knows prints its usage and exits with 2, and so does one that has nobody to ask', async () => {
    for (const words of [['ctl'], ['ctl', 'storage'], ['ctl', 'cluster', 'join']]) {
      const { code, stdout, stderr } = await finished(words)
      assert.deepEqual([code, stdout], [2, ''])
      assert.match(stderr, /^robustmq: ctl .*\nUsage: robustmq ctl cluster COMMAND/)
    }
    const alone = await finished(['ctl', 'cluster', 'status'])
    assert.equal(alone.code, 2)
    assert.match(alone.stderr, /meta_addrs names no node to ask/)
    const help = await finished(['ctl', '--help'])
    assert.deepEqual([help.code, help.stderr], [0, ''])
    assert.match(help.stdout, /^Usage: robustmq ctl/)
  })

  it('--check and --print-config only look, and exit with 0', async () => {
    const check = await finished(['--check', ...options('unused', 1)])
    assert.deepEqual([check.code, check.stdout], [0, 'the configuration is valid\n'])
    const print = await finished(['--print-config', '--set', 'mqtt.max_qos=1'], { ROBUSTMQ_NODE_ID: '7' })
    assert.equal(print.code, 0)
    assert.match(print.stdout, /^node_id = 7 # ROBUSTMQ_NODE_ID$/m)
    assert.match(print.stdout, /^max_qos = 1 # --set$/m)
  })

  it('says ready once, answers health checks, and stops with 0 on SIGTERM', async () => {
    const port = await freePort()
    const run = launch(options('stop', port))
    await ready(run)
    assert.match(run.stdout, new RegExp(`^robustmq \\d+\\.\\d+\\.\\d+ ready: .*http 127\\.0\\.0\\.1:${port}`))
    assert.equal((await fetch(`http://127.0.0.1:${port}/health/ready`)).status, 200)
    run.child.kill('SIGTERM')
    assert.equal(await run.exited, 0, run.stderr)
    assert.equal(run.stdout.split('\n').length, 2, 'one line')
  })

  it('a second node on the same data exits with 1 and names the directory; the first one goes on', async () => {
    const port = await freePort()
    const first = launch(options('shared', port))
    await ready(first)
    const second = await finished(options('shared', 0))
    assert.equal(second.code, 1)
    assert.ok(second.stderr.includes(`another process uses the data in ${join(directory, 'shared')}`), second.stderr)
    assert.equal((await fetch(`http://127.0.0.1:${port}/health/live`)).status, 200)
    first.child.kill('SIGINT')
    assert.equal(await first.exited, 0, first.stderr)
  })

  it('an address that is taken exits with 1 and names it', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const run = await finished(options('taken', port))
    server.close()
    assert.equal(run.code, 1)
    assert.ok(run.stderr.includes(`cannot listen on 127.0.0.1:${port}`), run.stderr)
    assert.equal(run.stdout, '')
  })

  it('a second signal while the stop takes its time ends the process with 1', async () => {
    const port = await freePort()
    const run = launch(options('impatient', port))
    await ready(run)
    // A connection that says nothing holds the HTTP server back for a second.
    const silent = connect(port, '127.0.0.1').on('error', () => undefined)
    await once(silent, 'connect')
    const nagging = setInterval(() => run.child.kill('SIGTERM'), 50)
    assert.equal(await run.exited, 1)
    clearInterval(nagging)
    assert.match(run.stderr, /SIGTERM while stopping: ended at once/)
  })

  for (const [what, statement] of [
    ['an exception that nobody catches', 'throw new Error("planted")'],
    ['a rejection that nobody handles', 'Promise.reject(new Error("planted"))'],
  ] as const) {
    it(`${what} ends the process with 1 and one line that says why`, async () => {
      const plant = `process.once("SIGUSR2",()=>{${statement}})`
      const run = launch(options(what.replaceAll(' ', '-'), await freePort()), {
        NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(plant)}`,
      })
      await ready(run)
      run.child.kill('SIGUSR2')
      assert.equal(await run.exited, 1)
      const lines = run.stderr.split('\n').filter((line) => line.includes('planted'))
      assert.equal(lines.length, 1)
      assert.match(lines[0] ?? '', /^robustmq: fatal: Error: planted \| at /)
    })
  }
})
