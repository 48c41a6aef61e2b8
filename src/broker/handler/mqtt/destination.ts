// SPDX-License-Identifier: Apache-2.0
// Where the messages of a topic go, by the name under which a client publishes: a topic, or '$delayed/' with seconds and a topic. Found once for each
// change of the name; clients repeat themselves.
import type { Shard } from '#storage'
import { isDelayedName, parseDelayedName } from '../../message/delayed-name.ts'
import type { RewriteRules } from '../../message/rewrite.ts'
import type { ClientNames } from '../../message/template.ts'
import { type PublishView, REASON } from '../../protocol/mqtt/index.ts'
import type { BrokerContext } from './context.ts'

export interface Destination {
  /** As the client gave it. */
  readonly name: string
  /** Of the topic that is meant: what is authorized, stored and delivered. */
  readonly shard: Shard
  /** 0: published at once. */
  readonly delaySeconds: number
  /** Why nothing can be published; REASON.success when it can. */
  readonly refusal: number
  /** By which it was found; others may find another. */
  readonly rules: RewriteRules
}

/** What is remembered from one PUBLISH of a connection to the next. */
export interface Intake {
  last: Destination | undefined
  /** Topic aliases that the client has set [MQTT-3.3.2-7]. */
  readonly aliases: Map<number, Destination>
}

/** Who publishes. */
interface Sender {
  readonly context: BrokerContext
  readonly intake: Intake
  readonly access: { readonly principal: ClientNames }
}

/** By the topic or its alias (MQTT 5 section 3.3.2.3.4), which is in range. Undefined for an alias that was not set. */
export function destinationOf(sender: Sender, publish: PublishView): Destination | undefined {
  const { intake, context } = sender
  const { rules } = context.rewriter
  const alias = publish.topicAlias
  if (publish.topicStart === publish.topicEnd) {
    const known = intake.aliases.get(alias)
    if (known === undefined || known.rules === rules) return known
    const renewed = findDestination(context, known.name, sender.access.principal)
    intake.aliases.set(alias, renewed)
    return renewed
  }
  const { topic } = publish
  let destination = intake.last
  if (destination === undefined || destination.name !== topic || destination.rules !== rules) {
    destination = findDestination(context, topic, sender.access.principal)
    intake.last = destination
  }
  if (alias !== 0) intake.aliases.set(alias, destination)
  return destination
}

function findDestination({ rewriter, router }: BrokerContext, name: string, names: ClientNames): Destination {
  const { rules } = rewriter
  const delayed = isDelayedName(name) ? parseDelayedName(name) : { delaySeconds: 0, topic: name }
  const topic = delayed && rewriter.topic(delayed.topic, names)
  if (delayed === undefined || topic === undefined) {
    return { name, shard: router.shard(name), delaySeconds: 0, refusal: REASON.topicNameInvalid, rules }
  }
  return { name, shard: router.shard(topic), delaySeconds: delayed.delaySeconds, refusal: REASON.success, rules }
}

/** The topic of a will; undefined when it can have none. A will has a delay of its own, so it is given no other. */
export function willTopicOf({ rewriter }: BrokerContext, topic: string, names: ClientNames): string | undefined {
  return isDelayedName(topic) ? undefined : rewriter.topic(topic, names)
}
