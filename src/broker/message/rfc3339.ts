// SPDX-License-Identifier: Apache-2.0
// Points in time as RFC 3339 writes them (section 5.6).
//
//   date-time := YYYY '-' MM '-' DD ('T' | 't' | ' ') hh ':' mm ':' ss ['.' digit+] ('Z' | 'z' | ('+' | '-') hh ':' mm)

const DATE_TIME = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))$/
const DAY_MS = 86_400_000
const MONTH_DAYS = Object.freeze([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])

/** Milliseconds since 1970; undefined when it is not a time. A leap second is the first of the next minute. */
export function parseRfc3339(text: string): number | undefined {
  const found = DATE_TIME.exec(text)
  if (found === null) return undefined
  const [year, month, day, hour, minute, second] = found.slice(1, 7).map(Number) as [number, number, number, number, number, number]
  const [zoneHour, zoneMinute] = [Number(found[9] ?? 0), Number(found[10] ?? 0)]
  if (month < 1 || month > 12 || day < 1 || day > daysOf(year, month)) return undefined
  if (hour > 23 || minute > 59 || second > 60 || zoneHour > 23 || zoneMinute > 59) return undefined
  const fractionMs = Math.floor(Number(`0.${found[7] ?? '0'}`) * 1000)
  const zoneMs = (zoneHour * 60 + zoneMinute) * 60_000 * (found[8] === '-' ? -1 : 1)
  return daysSince1970(year, month, day) * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + fractionMs - zoneMs
}

const isLeap = (year: number): boolean => year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)

const daysOf = (year: number, month: number): number => (MONTH_DAYS[month - 1] as number) + (month === 2 && isLeap(year) ? 1 : 0)

/** In the Gregorian calendar, also before it was in use. */
function daysSince1970(year: number, month: number, day: number): number {
  const before = year - 1
  let days = before * 365 + Math.floor(before / 4) - Math.floor(before / 100) + Math.floor(before / 400) - DAYS_BEFORE_1970
  for (let earlier = 1; earlier < month; earlier++) days += daysOf(year, earlier)
  return days + day - 1
}

/** From the first day of the year 1. */
const DAYS_BEFORE_1970 = 719_162
