// SPDX-License-Identifier: Apache-2.0
// The root of the admin HTTP API: health and metrics. Domains mount their own routes on it.
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { messageOf } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Logger } from '#base/port/logger'
import { errorResponse, thrownResponse } from './error-response.ts'

const BODY_BYTES_MAX = 1024 * 1024

export interface MetricsSource {
  readonly contentType: string
  exposition(): Promise<string>
}

export interface AdminOptions {
  readonly logger: Logger
  /** Why the node cannot serve; empty when it can. */
  readonly unready: () => readonly string[]
  /** What somebody should look at although the node serves; none by default. */
  readonly warnings?: () => readonly string[]
  /** Undefined: no /metrics. */
  readonly metrics: MetricsSource | undefined
}

export function createAdminApp({ logger, unready, warnings = () => [], metrics }: AdminOptions): Hono {
  const app = new Hono()
  const log = logger.scope('admin')

  app.use(
    bodyLimit({
      maxSize: BODY_BYTES_MAX,
      onError: (context) => errorResponse(context, ERROR_CODES.tooLarge, `a request body has at most ${BODY_BYTES_MAX} bytes`),
    }),
  )

  /** Answers as long as the event loop turns. A restart would cure nothing that it does not see. */
  app.get('/health/live', (context) => context.json({ status: 'live' }))

  app.get('/health/ready', (context) => {
    const reasons = unready()
    if (reasons.length > 0) return context.json({ status: 'unready', reasons }, 503)
    const worrying = warnings()
    return context.json(worrying.length === 0 ? { status: 'ready' } : { status: 'ready', warnings: worrying })
  })

  if (metrics !== undefined) {
    app.get('/metrics', async (context) => context.body(await metrics.exposition(), 200, { 'content-type': metrics.contentType }))
  }

  app.notFound((context) => errorResponse(context, ERROR_CODES.notFound, `there is no ${context.req.method} ${context.req.path}`))

  app.onError((thrown, context) => {
    log.log('error', 'a request failed', { method: context.req.method, path: context.req.path, error: messageOf(thrown) })
    return thrownResponse(context, thrown)
  })

  return app
}
