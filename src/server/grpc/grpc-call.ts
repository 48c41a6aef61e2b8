// SPDX-License-Identifier: Apache-2.0
// Calls as both sides make and take them: of bytes, by a path below one package.
import type { ServerDuplexStream } from '@grpc/grpc-js'

/** A call as its server has it: whether messages go one way or both, and how many, is for its handler to say. */
export type ServerCall = ServerDuplexStream<Buffer, Buffer>

/** Of `service/method`. */
export const pathOf = (call: string): string => `/robustmq.${call}`

export const asIs = (bytes: Buffer): Buffer => bytes

/** The message Empty. */
export const NO_BYTES = Buffer.alloc(0)
