// SPDX-License-Identifier: Apache-2.0
// The certificates of one listener: read from their files, and read again when these change.
import type { KeyPairFiles, TlsSettings } from '#base/config/listener'
import { isPlatformError, messageOf, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { FileReader } from '#base/port/file-reader'
import type { Logger } from '#base/port/logger'
import type { KeyPair, Listener, PemFile, TlsMaterial } from '#base/port/network'

export class CertificateFiles {
  readonly #files: FileReader
  readonly #logger: Logger
  readonly #settings: TlsSettings
  /** Of all files, from before they were last read. */
  #stamps = ''

  /** `logger` names the listener. */
  constructor(files: FileReader, logger: Logger, settings: TlsSettings) {
    this.#files = files
    this.#logger = logger
    this.#settings = settings
  }

  /** Rejects with configInvalid when a file cannot be read. What it holds is for the listener to check. */
  async read(): Promise<TlsMaterial> {
    // Before the files, so that a change while they are read is seen the next time.
    this.#stamps = await this.#stamp()
    try {
      return await this.#readAll()
    } catch (error) {
      if (!isPlatformError(error)) throw error
      throw new PlatformError(ERROR_CODES.configInvalid, error.message, { detail: error.detail, cause: error })
    }
  }

  /**
   * Gives the listener what the files hold now, if they have changed or `force` is set. What cannot be used is logged, once for each change, and
   * the listener goes on with what it has. Certificate and key are seldom replaced in the same instant: the second change makes it good.
   */
  async refresh(listener: Listener, force: boolean): Promise<void> {
    if (!force && (await this.#stamp()) === this.#stamps) return
    try {
      listener.setTls(await this.read())
      this.#logger.log('info', 'certificates were read again', { cert: this.#settings.pair.cert })
    } catch (error) {
      if (!isPlatformError(error, ERROR_CODES.configInvalid)) throw error
      this.#logger.log('error', 'certificates have changed and cannot be used: the old ones stay', { error: messageOf(error) })
    }
  }

  async #readAll(): Promise<TlsMaterial> {
    const { pair, others, ca } = this.#settings
    const [main, rest, issuers] = await Promise.all([
      this.#readPair(pair),
      Promise.all(others.map((other) => this.#readPair(other))),
      ca === undefined ? undefined : this.#readFile(ca),
    ])
    return { pair: main, others: rest, ca: issuers }
  }

  async #readPair({ cert, key }: KeyPairFiles): Promise<KeyPair> {
    const [certFile, keyFile] = await Promise.all([this.#readFile(cert), this.#readFile(key)])
    return { cert: certFile, key: keyFile }
  }

  async #readFile(path: string): Promise<PemFile> {
    return { path, bytes: await this.#files.read(path) }
  }

  async #stamp(): Promise<string> {
    const { pair, others, ca } = this.#settings
    const paths = [pair, ...others].flatMap(({ cert, key }) => [cert, key])
    const stamps = await Promise.all([...paths, ...(ca === undefined ? [] : [ca])].map((path) => this.#files.stamp(path)))
    return stamps.join(' ')
  }
}
