// SPDX-License-Identifier: Apache-2.0
// Reads what nobody reads, so that rot is found while other copies are still whole (L29): closed segments frame by frame, and their indexes. Changes nothing.
import type { Pace } from '../../log-store.ts'
import { SEGMENT_HEADER_BYTES } from './frame.ts'
import { inspectFrame, inspectSegmentHeader, isFlaw, Window } from './inspect.ts'
import type { Segment } from './segment.ts'
import { decodeIndex } from './segment-index.ts'

export interface FileFlaw {
  /** The full path, for the operator. */
  readonly path: string
  /** In the file; of an index, 0. */
  readonly offset: number
  readonly text: string
}

/** The first damage of a closed segment, and that of its index, if there is any. The segment is pinned. */
export async function scrubSegment(segment: Segment, indexFullPath: string, pace: Pace): Promise<readonly FileFlaw[]> {
  const found: FileFlaw[] = []
  const window = new Window(segment.file, segment.size)
  const header = await inspectSegmentHeader(window)
  const damage = (offset: number, text: string): void => void found.push({ path: segment.fullPath, offset, text })
  let chain = isFlaw(header) ? 0 : header.crc
  if (isFlaw(header)) damage(0, header.text)
  else if (chain !== segment.headerCrc) damage(0, 'the header is not the one that was written')
  for (let offset = SEGMENT_HEADER_BYTES; offset < segment.size && found.length === 0; ) {
    const frame = await inspectFrame(window, offset, { base: segment.base, previous: chain })
    if (isFlaw(frame)) damage(offset, frame.text)
    else {
      chain = frame.header.crc
      offset += frame.header.length
      await pace(frame.header.length)
    }
  }
  const { index, base, size, headerCrc } = segment
  const bytes = await index?.read(0, await index.size())
  await pace(bytes?.length ?? 0)
  const isWhole = bytes !== undefined && decodeIndex(bytes, { base, size, headerCrc, chain: segment.endCrc }) !== undefined
  if (!isWhole)
    found.push({ path: indexFullPath, offset: 0, text: 'the index is not what was written; it is made again at the next start' })
  return found
}
