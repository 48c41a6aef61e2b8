// SPDX-License-Identifier: Apache-2.0
// IP addresses and networks in CIDR notation. IPv4 is kept in its IPv6-mapped form, so that a listener for both families needs no other rules.

/** 16 bytes. */
export type IpAddress = Uint8Array

export interface IpNetwork {
  readonly address: IpAddress
  /** Leading bits that count, of 128. */
  readonly prefixBits: number
}

const ADDRESS_BYTES = 16
/** ::ffff:0:0/96 */
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff] as const
const MAPPED_BITS = MAPPED.length * 8

/** Undefined when the text is no address. A zone ('fe80::1%eth0') is left out: it says where, not who. */
export function parseIpAddress(text: string): IpAddress | undefined {
  const [plain = ''] = text.split('%', 1)
  return plain.includes(':') ? parseIpv6(plain) : parseIpv4(plain)
}

/** '192.0.2.0/24', '2001:db8::/32', or an address for itself alone. Undefined when it is none of these, or has bits set past its prefix. */
export function parseIpNetwork(text: string): IpNetwork | undefined {
  const slash = text.indexOf('/')
  const address = parseIpAddress(slash === -1 ? text : text.slice(0, slash))
  if (address === undefined || text.includes('%')) return undefined
  if (slash === -1) return { address, prefixBits: ADDRESS_BYTES * 8 }
  const bits = text.slice(slash + 1)
  const offset = text.includes(':') ? 0 : MAPPED_BITS
  const prefixBits = Number(bits) + offset
  if (!/^\d{1,3}$/.test(bits) || prefixBits > ADDRESS_BYTES * 8) return undefined
  const network = { address, prefixBits }
  return address.every((byte, at) => (byte & ~maskAt(prefixBits, at) & 0xff) === 0) ? network : undefined
}

export function isInNetwork({ address, prefixBits }: IpNetwork, candidate: IpAddress): boolean {
  for (let at = 0; at * 8 < prefixBits; at++) {
    if ((((candidate[at] as number) ^ (address[at] as number)) & maskAt(prefixBits, at)) !== 0) return false
  }
  return true
}

/** The bits of the byte at `at` that are inside a prefix. */
const maskAt = (prefixBits: number, at: number): number => (0xff00 >> Math.min(Math.max(prefixBits - at * 8, 0), 8)) & 0xff

function parseIpv4(text: string): IpAddress | undefined {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) return undefined
  return Uint8Array.of(...MAPPED, ...parts.map(Number))
}

function parseIpv6(text: string): IpAddress | undefined {
  const lastColon = text.lastIndexOf(':')
  const dotted = text.includes('.') ? parseIpv4(text.slice(lastColon + 1)) : undefined
  if (text.includes('.') && dotted === undefined) return undefined
  // The last 32 bits may be written as IPv4: two groups stand in for them.
  const groupsOnly = dotted === undefined ? text : `${text.slice(0, lastColon + 1)}${ipv4Groups(dotted)}`
  const halves = groupsOnly.split('::')
  if (halves.length > 2) return undefined
  const [head, tail] = [groupsOf(halves[0]), groupsOf(halves[1])]
  if (head === undefined || tail === undefined) return undefined
  const missing = 8 - head.length - tail.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail]
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]))
}

const ipv4Groups = (address: IpAddress): string => {
  const [a = 0, b = 0, c = 0, d = 0] = address.subarray(MAPPED.length)
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
}

function groupsOf(half: string | undefined): readonly number[] | undefined {
  if (half === undefined || half === '') return []
  const groups = half.split(':')
  return groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group)) ? groups.map((group) => Number.parseInt(group, 16)) : undefined
}
