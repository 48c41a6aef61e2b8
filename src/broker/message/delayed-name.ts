// SPDX-License-Identifier: Apache-2.0
// The topic by which a client asks for a later publication.
//
//   name := '$delayed/' seconds '/' topic        seconds := 1 to 7 digits, at most 4294967

const PREFIX = '$delayed/'
const SECONDS_MAX = 4_294_967
const PATTERN = /^\$delayed\/(\d{1,7})\/(.+)$/s

export interface DelayedName {
  readonly delaySeconds: number
  readonly topic: string
}

export const isDelayedName = (topic: string): boolean => topic.startsWith(PREFIX)

/** Undefined when the name is malformed, or delays twice. */
export function parseDelayedName(name: string): DelayedName | undefined {
  const [, digits, topic] = PATTERN.exec(name) ?? []
  const delaySeconds = Number(digits)
  if (topic === undefined || delaySeconds > SECONDS_MAX || isDelayedName(topic)) return undefined
  return { delaySeconds, topic }
}
