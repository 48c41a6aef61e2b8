// SPDX-License-Identifier: Apache-2.0
// The admin HTTP server: health, metrics, errors, and its life as a component.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Logger } from '#base/port/logger'
import { NodeClock } from '#runtime'
import { createAdminApp, HttpServer, type MetricsSource } from '#server'

const METRICS: MetricsSource = { contentType: 'text/plain; version=0.0.4; charset=utf-8', exposition: async () => 'up 1\n' }

class LogRecorder implements Logger {
  readonly lines: string[] = []

  log(level: string, message: string, fields?: object): void {
    this.lines.push(`${level} ${message} ${JSON.stringify(fields)}`)
  }

  scope(): Logger {
    return this
  }
}

function adminApp(unready: readonly string[] = [], metrics: MetricsSource | undefined = METRICS) {
  const logger = new LogRecorder()
  return { logger, app: createAdminApp({ logger, unready: () => unready, metrics }) }
}

describe('admin app', () => {
  it('is live while it answers, ready when nothing is unready', async () => {
    const { app } = adminApp()
    assert.equal((await app.request('/health/live')).status, 200)
    const ready = await app.request('/health/ready')
    assert.equal(ready.status, 200)
    assert.deepEqual(await ready.json(), { status: 'ready' })
  })

  it('is ready with a warning when something should be looked at', async () => {
    const app = createAdminApp({ logger: new LogRecorder(), unready: () => [], warnings: () => ['engine: damage'], metrics: METRICS })
    const ready = await app.request('/health/ready')
    assert.equal(ready.status, 200)
    assert.deepEqual(await ready.json(), { status: 'ready', warnings: ['engine: damage'] })
  })

  it('says with 503 why it is not ready, and stays live', async () => {
    const { app } = adminApp(['meta: no leader', 'node: starting'])
    const response = await app.request('/health/ready')
    assert.equal(response.status, 503)
    assert.deepEqual(await response.json(), { status: 'unready', reasons: ['meta: no leader', 'node: starting'] })
    assert.equal((await app.request('/health/live')).status, 200)
  })

  it('serves metrics in their own content type, or not at all', async () => {
    const response = await adminApp().app.request('/metrics')
    assert.equal(response.headers.get('content-type'), METRICS.contentType)
    assert.equal(await response.text(), 'up 1\n')
    const logger = new LogRecorder()
    const without = createAdminApp({ logger, unready: () => [], metrics: undefined })
    assert.equal((await without.request('/metrics')).status, 404)
  })

  it('answers unknown paths and methods with 404 in JSON', async () => {
    const { app } = adminApp()
    for (const [method, path] of [
      ['GET', '/nope'],
      ['POST', '/health/live'],
    ] as const) {
      const response = await app.request(path, { method })
      assert.equal(response.status, 404)
      assert.deepEqual(await response.json(), { error: { code: 'not-found', message: `there is no ${method} ${path}` } })
    }
  })

  it('refuses a body over the limit', async () => {
    const { app } = adminApp()
    app.post('/echo', async (context) => context.text(await context.req.text()))
    const body = 'x'.repeat(1024 * 1024 + 1)
    const response = await app.request('/echo', { method: 'POST', body, headers: { 'content-length': String(body.length) } })
    assert.equal(response.status, 413)
    assert.equal((await app.request('/echo', { method: 'POST', body: 'small' })).status, 200)
  })

  it('tells a failure of the catalogue, and hides the words of any other in the log', async () => {
    const { app, logger } = adminApp()
    app.get('/busy', () => {
      throw new PlatformError(ERROR_CODES.quotaExceeded, 'too many requests')
    })
    app.get('/bug', () => {
      throw new Error('password=1234')
    })
    const busy = await app.request('/busy')
    assert.equal(busy.status, 429)
    assert.deepEqual(await busy.json(), { error: { code: 'quota-exceeded', message: 'too many requests' } })
    const bug = await app.request('/bug')
    assert.equal(bug.status, 500)
    assert.equal(JSON.stringify(await bug.json()).includes('1234'), false)
    assert.match(logger.lines.join(), /\/bug.*password=1234/)
  })
})

async function started(
  context: TestContext,
  fetch: (request: Request) => Response | Promise<Response>,
): Promise<{ server: HttpServer; port: number }> {
  const server = new HttpServer(new NodeClock(), { host: '127.0.0.1', port: 0 }, fetch)
  await server.start()
  context.after(() => server.stop())
  return { server, port: Number(server.addresses()[0]?.split(':').pop()) }
}

describe('HttpServer', () => {
  it('serves between start and stop, and says where', async (context) => {
    const { server, port } = await started(context, () => new Response('here'))
    assert.deepEqual(server.addresses(), [`http 127.0.0.1:${port}`])
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/`)).text(), 'here')
    await server.stop()
    await assert.rejects(fetch(`http://127.0.0.1:${port}/`))
    await server.stop()
  })

  it('an address that is taken, or not of this machine, is reported as such', async (context) => {
    const { port } = await started(context, () => new Response())
    const rejectsWith = (host: string, code: (typeof ERROR_CODES)[keyof typeof ERROR_CODES]) =>
      assert.rejects(new HttpServer(new NodeClock(), { host, port }, () => new Response()).start(), (error: unknown) => {
        assert.ok(isPlatformError(error, code))
        assert.ok(error.message.includes(`${host}:${port}`))
        return true
      })
    await rejectsWith('127.0.0.1', ERROR_CODES.addressInUse)
    await rejectsWith('192.0.2.1', ERROR_CODES.configInvalid)
  })

  it('stop does not wait for connections that say nothing', async (context) => {
    const { server, port } = await started(context, () => new Response())
    const silent = connect(port, '127.0.0.1')
    silent.on('error', () => undefined)
    await once(silent, 'connect')
    const closed = once(silent, 'close')
    await server.stop()
    await closed
  })
})
