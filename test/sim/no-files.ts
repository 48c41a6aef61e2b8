// SPDX-License-Identifier: Apache-2.0
// The files of an administrator who has left none.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { FileReader } from '#base/port/file-reader'

export const NO_FILES: FileReader = Object.freeze({
  read: (path: string) => Promise.reject(new PlatformError(ERROR_CODES.notFound, `cannot read ${path}: there are no files`)),
  stamp: () => Promise.resolve(undefined),
})
