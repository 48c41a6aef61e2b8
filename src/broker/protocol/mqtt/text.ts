// SPDX-License-Identifier: Apache-2.0
// The two rules of every string in MQTT, and the shape of topic names; checked on the bytes, before anything is decoded.
import { PROBLEM, type ProtocolProblem } from './problem.ts'

const SLASH = 0x2f
const PLUS = 0x2b
const HASH = 0x23

/** Bounds on topic names and topic filters. */
export interface TopicLimits {
  readonly topicSizeMax: number
  readonly topicLevelsMax: number
}

/** Whether bytes are well-formed UTF-8 (RFC 3629) without U+0000 [MQTT-1.5.4-1] [MQTT-1.5.4-2]. */
export function isText(bytes: Buffer, start: number, end: number): boolean {
  let at = start
  while (at < end) {
    const lead = bytes[at] as number
    if (lead < 0x80) {
      if (lead === 0) return false
      at++
      continue
    }
    const size = sequenceSize(bytes, at, end, lead)
    if (size === 0) return false
    at += size
  }
  return true
}

/** Size of the sequence of two to four bytes that begins with `lead`; 0 when it is none. Overlong forms, surrogates and what is past U+10FFFF are none. */
function sequenceSize(bytes: Buffer, at: number, end: number, lead: number): number {
  const size = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0
  if (size === 0 || at + size > end) return 0
  const second = bytes[at + 1] as number
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf
  if (second < low || second > high) return 0
  for (let next = at + 2; next < at + size; next++) if (((bytes[next] as number) & 0xc0) !== 0x80) return 0
  return size
}

/** Whether bytes hold a wildcard. Their values appear in no sequence of more than one byte. */
export function hasWildcardByte(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] === PLUS || bytes[at] === HASH) return true
  return false
}

/** Levels of a topic name or filter: slashes and one. */
export function levelCount(bytes: Buffer, start: number, end: number): number {
  let levels = 1
  for (let at = start; at < end; at++) if (bytes[at] === SLASH) levels++
  return levels
}

/** What is wrong with a topic name that is not empty. One pass for ASCII, which nearly all are. */
export function topicProblem(bytes: Buffer, start: number, end: number, limits: TopicLimits): ProtocolProblem | undefined {
  if (end - start > limits.topicSizeMax) return PROBLEM.topicShape
  let levels = 1
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number
    if (byte === SLASH) levels++
    else if (byte === PLUS || byte === HASH) return PROBLEM.topicWildcard
    else if (byte === 0) return PROBLEM.text
    else if (byte > 0x7f) return otherTopicProblem(bytes, start, end, limits)
  }
  return levels > limits.topicLevelsMax ? PROBLEM.topicShape : undefined
}

function otherTopicProblem(bytes: Buffer, start: number, end: number, limits: TopicLimits): ProtocolProblem | undefined {
  if (!isText(bytes, start, end)) return PROBLEM.text
  if (hasWildcardByte(bytes, start, end)) return PROBLEM.topicWildcard
  return levelCount(bytes, start, end) > limits.topicLevelsMax ? PROBLEM.topicShape : undefined
}
