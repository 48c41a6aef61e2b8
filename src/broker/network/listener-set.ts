// SPDX-License-Identifier: Apache-2.0
// The listeners of a broker: opened together, closed together, and kept up with their certificates.
import { must } from '#base/assert'
import type { ListenerSettings } from '#base/config/listener'
import type { Clock, Timer } from '#base/port/clock'
import type { Logger } from '#base/port/logger'
import type { Channel, ChannelHandler, Listener, ListenOptions } from '#base/port/network'
import type { Ports } from '#base/port/ports'
import { CertificateFiles } from './certificate-files.ts'

/** How often the files of certificates are looked at. */
const WATCH_MS = 30_000
/** A WebSocket message may hold a packet of the largest size and small ones beside it. */
const MESSAGE_BYTES_BESIDE = 64 * 1024

/** As the line says that tells where the node can be reached. */
const SCHEME = Object.freeze({ tcp: 'mqtt', tls: 'mqtts', ws: 'ws', wss: 'wss' })

interface OpenListener {
  readonly settings: ListenerSettings
  readonly listener: Listener
  readonly certificates: CertificateFiles | undefined
}

export class ListenerSet {
  readonly #ports: Pick<Ports, 'network' | 'files'>
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #settings: readonly ListenerSettings[]
  readonly #packetBytesMax: number
  readonly #open: OpenListener[] = []
  #watch: Timer | undefined
  #refreshing: Promise<void> = Promise.resolve()
  #isStopped = false

  constructor(
    { network, files, clock, logger }: Pick<Ports, 'network' | 'files' | 'clock' | 'logger'>,
    settings: readonly ListenerSettings[],
    packetBytesMax: number,
  ) {
    this.#ports = { network, files }
    this.#clock = clock
    this.#logger = logger
    this.#settings = settings
    this.#packetBytesMax = packetBytesMax
  }

  /** Of those that are open: 'mqtt 127.0.0.1:1883'. */
  get addresses(): readonly string[] {
    return this.#open.map(({ settings, listener }) => `${SCHEME[settings.transport]} ${listener.address}`)
  }

  /** Rejects with configInvalid or addressInUse; what is open by then stays so until `stop`. */
  async start(accept: (channel: Channel, settings: ListenerSettings) => ChannelHandler): Promise<void> {
    for (const settings of this.#settings) {
      const entry = await this.#create(settings)
      await entry.listener.start((channel) => accept(channel, settings))
      this.#open.push(entry)
    }
    this.#armWatch()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#watch?.cancel()
    await Promise.all(this.#open.map(({ listener }) => listener.stop()))
  }

  /** Reads all certificates again, changed or not. Never rejects because of what it finds. */
  refresh(): Promise<void> {
    return this.#refresh(true)
  }

  /** One at a time: an older reading must not win over a newer one. */
  #refresh(force: boolean): Promise<void> {
    this.#refreshing = this.#refreshing.then(async () => {
      for (const { listener, certificates } of this.#open) if (!this.#isStopped) await certificates?.refresh(listener, force)
    })
    return this.#refreshing
  }

  #armWatch(): void {
    if (this.#isStopped || this.#open.every(({ certificates }) => certificates === undefined)) return
    this.#watch = this.#clock.after(WATCH_MS, () => void this.#refresh(false).then(() => this.#armWatch()))
  }

  async #create(settings: ListenerSettings): Promise<OpenListener> {
    const { network, files } = this.#ports
    const { host, port, connectionsMax, transport, tls } = settings
    const address = { host, port, connectionsMax }
    const webSocket = { path: settings.path, origins: settings.origins, messageBytesMax: this.#packetBytesMax + MESSAGE_BYTES_BESIDE }
    if (transport === 'tcp') return this.#plain(settings, { ...address, transport })
    if (transport === 'ws') return this.#plain(settings, { ...address, transport, webSocket })
    const { verifyClient } = must(tls, 'a listener with TLS has certificates')
    const certificates = new CertificateFiles(files, this.#logger.scope(settings.name), must(tls, 'as above'))
    const secured = { ...address, tls: await certificates.read(), verifyClient }
    const options: ListenOptions = transport === 'tls' ? { ...secured, transport } : { ...secured, transport, webSocket }
    return { settings, listener: network.listener(options), certificates }
  }

  #plain(settings: ListenerSettings, options: ListenOptions): OpenListener {
    return { settings, listener: this.#ports.network.listener(options), certificates: undefined }
  }
}
