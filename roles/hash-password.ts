// SPDX-License-Identifier: Apache-2.0
// Makes the hash of a password for the configuration. The password comes by standard input, so that it is in no command line and no history.
import { formatStoredPassword, hashForScram, hashWithScrypt, ITERATIONS_DEFAULT, SALT_BYTES } from '#base/password'
import { CryptoRandom, NodeHashing } from '#runtime'
import type { PasswordForm } from './arguments.ts'

/** The key of [[security.users]] and its value; undefined when there is no password. */
export async function hashPassword(form: PasswordForm, input: AsyncIterable<Buffer>): Promise<string | undefined> {
  const chunks: Buffer[] = []
  for await (const chunk of input) chunks.push(chunk)
  const password = withoutLineEnd(Buffer.concat(chunks))
  if (password.length === 0) return undefined
  const hashing = new NodeHashing(1)
  const salt = new CryptoRandom().bytes(SALT_BYTES)
  const stored =
    form === 'scrypt'
      ? await hashWithScrypt(hashing, password, salt)
      : await hashForScram(hashing, form === 'scram-sha-256' ? 'sha256' : 'sha512', password, salt, ITERATIONS_DEFAULT)
  return `password_hash = "${formatStoredPassword(stored)}"\n`
}

/** The end of the line is that of the terminal or of echo. */
function withoutLineEnd(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1')
  return bytes.subarray(0, text.length - (/\r?\n$/.exec(text)?.[0].length ?? 0))
}
