// SPDX-License-Identifier: Apache-2.0
// Files that belong to the administrator and not to the node's data: certificates and keys.

export interface FileReader {
  /** The whole file. Paths as the administrator writes them. Rejects with PlatformError notFound, tooLarge or diskFailed. */
  read(path: string): Promise<Buffer>
  /** A mark that changes when the file is written or replaced; undefined when there is none to be seen. */
  stamp(path: string): Promise<string | undefined>
}
