// SPDX-License-Identifier: Apache-2.0
// What the operating system says about files, in the terms of the error catalogue.
import { PlatformError } from '#base/error'
import { ERROR_CODES, type ErrorCode } from '#base/error-code'

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: ERROR_CODES.diskFull,
  EDQUOT: ERROR_CODES.diskFull,
  ENOENT: ERROR_CODES.notFound,
}

const ADVICE: Readonly<Record<string, string>> = {
  ENOSPC: 'free space or enlarge the disk',
  EDQUOT: 'raise the disk quota of this user',
  EACCES: 'this user needs read and write permission',
  EPERM: 'this user needs read and write permission',
  EROFS: 'the file system is mounted read-only',
  EMFILE: 'raise the limit on open files (ulimit -n)',
  ENFILE: 'raise the limit on open files of the system',
}

/** `tried` completes 'cannot …'. `path` is the full one: that is what the reader looks for. */
export function fileError(tried: string, path: string, cause: NodeJS.ErrnoException): PlatformError {
  const errno = cause.code ?? 'unknown'
  const advice = ADVICE[errno]
  const message = `cannot ${tried} ${path}: ${errno}${advice === undefined ? '' : `, ${advice}`}`
  return new PlatformError(CODES[errno] ?? ERROR_CODES.diskFailed, message, { detail: { path, errno }, cause })
}
