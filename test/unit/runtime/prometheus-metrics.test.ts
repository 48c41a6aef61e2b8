// SPDX-License-Identifier: Apache-2.0
// What a scrape shows of counters, gauges and histograms.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AssertionError } from '#base/assert'
import { PrometheusMetrics } from '#runtime'

const linesOf = (exposition: string, name: string): readonly string[] => exposition.split('\n').filter((line) => line.startsWith(name))

describe('PrometheusMetrics', () => {
  it('counters of one name are told apart by their labels, and scraping twice does not count twice', async () => {
    const metrics = new PrometheusMetrics()
    const incoming = metrics.counter('packets_total', 'Packets.', { direction: 'in' })
    const outgoing = metrics.counter('packets_total', 'Packets.', { direction: 'out' })
    incoming.add(2)
    incoming.add(3)
    assert.deepEqual(linesOf(await metrics.exposition(), 'packets_total'), [
      'packets_total{direction="in"} 5',
      'packets_total{direction="out"} 0',
    ])
    outgoing.add(1)
    assert.deepEqual(linesOf(await metrics.exposition(), 'packets_total'), [
      'packets_total{direction="in"} 5',
      'packets_total{direction="out"} 1',
    ])
  })

  it('a gauge is read at each scrape', async () => {
    const metrics = new PrometheusMetrics()
    let connections = 1
    metrics.gauge('connections', 'Open connections.', () => connections)
    assert.deepEqual(linesOf(await metrics.exposition(), 'connections'), ['connections 1'])
    connections = 7
    assert.deepEqual(linesOf(await metrics.exposition(), 'connections'), ['connections 7'])
  })

  it('a histogram counts into its buckets', async () => {
    const metrics = new PrometheusMetrics()
    const reads = metrics.histogram('read_bytes', 'Bytes.', [10, 100], { kind: 'log' })
    metrics.histogram('read_bytes', 'Bytes.', [10, 100], { kind: 'kv' }).observe(1)
    for (const bytes of [5, 50, 500]) reads.observe(bytes)
    const lines = linesOf(await metrics.exposition(), 'read_bytes').filter((line) => line.includes('kind="log"'))
    assert.deepEqual(lines, [
      'read_bytes_bucket{le="10",kind="log"} 1',
      'read_bytes_bucket{le="100",kind="log"} 2',
      'read_bytes_bucket{le="+Inf",kind="log"} 3',
      'read_bytes_sum{kind="log"} 555',
      'read_bytes_count{kind="log"} 3',
    ])
  })

  it('the process itself is measured, and two registries do not disturb each other', async () => {
    const exposition = await new PrometheusMetrics().exposition()
    assert.equal(linesOf(exposition, 'process_resident_memory_bytes ').length, 1)
    assert.equal(linesOf(exposition, 'connections').length, 0)
  })

  it('declaring the same instrument twice, or a name with other labels, is a bug', () => {
    const metrics = new PrometheusMetrics()
    metrics.counter('a_total', 'A.', { kind: 'x' })
    assert.throws(() => metrics.counter('a_total', 'A.', { kind: 'x' }), AssertionError)
    assert.throws(() => metrics.counter('a_total', 'A.', { sort: 'x' }), AssertionError)
    assert.throws(() => metrics.gauge('a_total', 'A.', () => 0, { kind: 'x' }), AssertionError)
  })
})
