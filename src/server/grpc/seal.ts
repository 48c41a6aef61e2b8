// SPDX-License-Identifier: Apache-2.0
// Proofs that a node has the secret of the cluster (DESIGN 7). The secret itself is never sent; what is sent holds for one meeting of two
// nodes, as each of them has put a nonce of its own into it. It tells who is at the other end; against those who can change what is under way, use TLS.
import { createHmac, timingSafeEqual } from 'node:crypto'

/** Made by whoever was called, over what both have said. */
export const sealOfCalled = (secret: string, caller: Buffer, called: Buffer): Buffer => seal(secret, 'called', caller, called)

/** Made by the caller: with it, every call of the connection shows that it comes from the same node. */
export const sealOfCaller = (secret: string, caller: Buffer, called: Buffer): Buffer => seal(secret, 'caller', caller, called)

/** In constant time. */
export const isSeal = (expected: Buffer, given: Buffer): boolean => expected.length === given.length && timingSafeEqual(expected, given)

function seal(secret: string, purpose: string, caller: Buffer, called: Buffer): Buffer {
  const length = Buffer.allocUnsafe(4)
  length.writeUInt32BE(caller.length)
  return createHmac('sha256', secret).update(`robustmq ${purpose}\n`).update(length).update(caller).update(called).digest()
}
