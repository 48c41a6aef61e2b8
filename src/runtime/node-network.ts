// SPDX-License-Identifier: Apache-2.0
// Listeners on the addresses of this machine.
import type { Logger } from '#base/port/logger'
import type { Listener, ListenOptions, Network } from '#base/port/network'
import { NodeListener } from './node-listener.ts'

export class NodeNetwork implements Network {
  readonly #logger: Logger

  constructor(logger: Logger) {
    this.#logger = logger.scope('network')
  }

  listener(options: ListenOptions): Listener {
    return new NodeListener(options, this.#logger)
  }
}
