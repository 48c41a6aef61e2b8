// SPDX-License-Identifier: Apache-2.0
// How damage of the log is told to the operator. Nothing here repairs: a replica that lost acknowledged bytes may not go on with its old
// identity, or it would vote and count with a memory it no longer has (R45, R46).
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'

export const damaged = (path: string, offset: number, text: string): PlatformError =>
  new PlatformError(
    ERROR_CODES.dataDamaged,
    `log file ${path} is damaged at byte ${offset}: ${text}. Nothing was changed. Restore the file from a copy made after the node last ran, ` +
      'or remove this node from the cluster, clear its data directory and let it join as a new member.',
    { detail: { path, offset } },
  )
