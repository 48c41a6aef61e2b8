// SPDX-License-Identifier: Apache-2.0
// SASLprep (RFC 4013): user names and passwords that look the same are the same bytes. Of its prohibitions, those on the direction of text
// are left out: they are about display.

/** Spaces other than U+0020, which become it (RFC 3454 table C.1.2). */
const SPACES = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/gu
/** Characters that become nothing (RFC 3454 table B.1). */
const NOTHING = /\u034f|[\u180b-\u180d]|[\ufe00-\ufe0f]|\u200d|[\u00ad\u1806\u200c\u2060\ufeff]/gu
/** Control and format characters, surrogates, private use, unassigned and non-characters, and those unfit for plain text (RFC 4013 section 2.3). */
const PROHIBITED =
  /\u0340|\u0341|[\p{Cc}\p{Cs}\p{Co}\p{Cn}\u06dd\u070f\u180e\u200e\u200f\u2028\u2029\u202a-\u202e\u2061-\u2063\u206a-\u206f\u2ff0-\u2ffb\ufff9-\ufffd]/u

/** The prepared form; undefined when the text has characters that it may not have. */
export function saslprep(text: string): string | undefined {
  const prepared = text.replace(SPACES, ' ').replace(NOTHING, '').normalize('NFKC')
  return PROHIBITED.test(prepared) ? undefined : prepared
}
