// SPDX-License-Identifier: Apache-2.0
// Auto-subscribe: subscriptions that every client gets when it connects, without asking.
import { type ClientNames, Template } from './template.ts'

/** As in [[mqtt.auto_subscribe]]. */
export interface AutoSubscribeSetting {
  readonly filter: string
  readonly qos: number
  readonly noLocal?: boolean
  readonly retainAsPublished?: boolean
  readonly retainHandling?: number
}

/** What a client would have had to ask for. */
export interface AutoSubscription {
  readonly filter: string
  readonly qos: 0 | 1 | 2
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
}

const NONE: readonly AutoSubscription[] = Object.freeze([])

export class AutoSubscriber {
  #rules: readonly { readonly setting: AutoSubscribeSetting; readonly filter: Template }[] = []

  constructor(settings: readonly AutoSubscribeSetting[]) {
    this.setRules(settings)
  }

  /** For clients that connect from now on. */
  setRules(settings: readonly AutoSubscribeSetting[]): void {
    this.#rules = settings.map((setting) => ({ setting, filter: new Template(setting.filter) }))
  }

  /** In the order of the rules; without those that name what the client does not have. */
  subscriptions(names: ClientNames): readonly AutoSubscription[] {
    if (this.#rules.length === 0) return NONE
    return this.#rules.flatMap(({ setting, filter }) => {
      const filled = filter.fill(names, [])
      if (filled === undefined) return []
      const { qos, noLocal = false, retainAsPublished = false, retainHandling = 0 } = setting
      return [{ filter: filled, qos: qos as 0 | 1 | 2, noLocal, retainAsPublished, retainHandling: retainHandling as 0 | 1 | 2 }]
    })
  }
}
