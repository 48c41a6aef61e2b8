// SPDX-License-Identifier: Apache-2.0
// What RocksDB says, in the terms of the error catalogue. It says it in words only.
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'

const ADVICE =
  'keep a copy of the directory, check the disk, and restore the data of this node from a backup, or remove the node from its cluster and let it join as a new one'

/** `found` completes 'the stored data is damaged (…)'. */
export function storeDamaged(directory: string, found: string, cause?: Error): PlatformError {
  const message = `the stored data in ${directory} is damaged (${found}): ${ADVICE}`
  return new PlatformError(ERROR_CODES.dataDamaged, message, { detail: { directory }, cause })
}

/** `tried` completes 'cannot …'. */
export function storeError(directory: string, tried: string, cause: Error): PlatformError {
  if (isPlatformError(cause)) return cause
  const words = cause.message
  const options = { detail: { directory }, cause }
  if (/^IO error:.*(lock hold by current process|LOCK: )/s.test(words)) {
    return new PlatformError(
      ERROR_CODES.dataLocked,
      `another process uses the data in ${directory}: stop it, or give this node a data_path of its own`,
      options,
    )
  }
  if (/no space left|disk quota exceeded/i.test(words)) {
    return new PlatformError(ERROR_CODES.diskFull, `cannot ${tried} ${directory}: the disk is full, free space or enlarge it`, options)
  }
  // Only RocksDB creates and deletes its files, and it tells from its manifest which ones there are: a missing one was taken away.
  if (/^Corruption/i.test(words) || /^IO error:.*No such file or directory/s.test(words)) return storeDamaged(directory, words, cause)
  return new PlatformError(ERROR_CODES.diskFailed, `cannot ${tried} ${directory}: ${words}`, options)
}
