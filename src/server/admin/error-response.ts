// SPDX-License-Identifier: Apache-2.0
// How the admin API reports errors: {"error": {"code": "not-found", "message": "…"}}.
import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { isPlatformError } from '#base/error'
import { ERROR_CODES, type ErrorCode } from '#base/error-code'

export const errorResponse = (context: Context, code: ErrorCode, message: string): Response =>
  context.json({ error: { code: code.name, message } }, code.http as ContentfulStatusCode)

/** Only failures of the catalogue speak to the caller; the words of anything else may hold what is not theirs to read. */
export const thrownResponse = (context: Context, thrown: unknown): Response =>
  isPlatformError(thrown)
    ? errorResponse(context, thrown.code, thrown.message)
    : errorResponse(context, ERROR_CODES.internal, 'the server failed; its log says why')
