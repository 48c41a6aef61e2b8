// SPDX-License-Identifier: Apache-2.0
// How a replica answers: at once if everything is durable that the answer could depend on, else after it is.
import type { Message } from './message.ts'

/** Sends an answer when all that came before it is durable (R3). */
export type Answer = (message: Message) => void
