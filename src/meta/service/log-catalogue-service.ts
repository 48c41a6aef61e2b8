// SPDX-License-Identifier: Apache-2.0
// The catalogue of independent logs, in the metadata group.
import type { Kv } from '#base/port/kv'
import type { CataloguedLog, LogCatalogue, LogCreation } from '#contract/client/log-catalogue'
import { decodeCount } from '../codec/count-codec.ts'
import { catalogueLogOf, checkName } from '../codec/key.ts'
import { decodeCatalogueLog } from '../codec/log-codec.ts'
import { createLog, removeLog } from '../command/log-command.ts'
import { scanRange } from '../scan.ts'
import type { GroupClient } from './group-client.ts'

export class LogCatalogueService {
  readonly #group: GroupClient

  constructor(group: GroupClient) {
    this.#group = group
  }

  async create(log: CataloguedLog): Promise<LogCreation> {
    checkName(log.topic, 'topic')
    return await this.#group.submit(createLog(log))
  }

  remove(log: CataloguedLog): Promise<void> {
    return this.#group.submit(removeLog(log))
  }

  async list(): Promise<LogCatalogue> {
    await this.#group.barrier()
    return await this.#group.kv.whole((kv) => this.#read(kv))
  }

  async #read(kv: Kv): Promise<LogCatalogue> {
    const { keys } = this.#group
    // Before the logs: one that is created meanwhile is not below it, so it cannot look like one that was removed.
    const nextId = decodeCount(await kv.get(keys.nextLog))
    const logs: CataloguedLog[] = []
    await scanRange(kv, keys.catalogueLogs(), ({ key, value }) => {
      logs.push({ ...catalogueLogOf(key), ...decodeCatalogueLog(value) })
      return true
    })
    return { nextId, logs: logs.sort((a, b) => a.id - b.id) }
  }
}
