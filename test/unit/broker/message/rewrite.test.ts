// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type RewriteSetting, TopicRewriter } from '../../../../src/broker/message/rewrite.ts'

const NAMES = { clientId: 'c1', userName: 'ann' }
const rule = (changes: Partial<RewriteSetting> = {}): RewriteSetting => ({
  action: 'all',
  filter: 'old/#',
  regex: '^old/([^/]+)/(.+)$',
  to: 'new/$2/$1',
  ...changes,
})

test('a topic becomes what the template makes of the groups and of the client', () => {
  const rewriter = new TopicRewriter(10, [rule({ to: 'x/%c/%u/$2/$1' })])
  assert.equal(rewriter.topic('old/room/a/b', NAMES), 'x/c1/ann/a/b/room')
  assert.equal(rewriter.filter('old/+/a/#', NAMES), undefined, 'with # in the middle it is no filter')
  assert.equal(rewriter.filter('old/+/a', NAMES), 'x/c1/ann/a/+')
  assert.equal(rewriter.topic('other', NAMES), 'other')
})

test('the first rule decides whose filter and regex both fit', () => {
  const rewriter = new TopicRewriter(10, [
    rule({ filter: 'other/#', to: 'never' }),
    rule({ regex: '^old/none', to: 'never' }),
    rule({ to: 'first' }),
    rule({ to: 'second' }),
  ])
  assert.equal(rewriter.topic('old/a/b', NAMES), 'first')
})

test('a rule is for publishing, for subscribing, or for both', () => {
  const rewriter = new TopicRewriter(10, [rule({ action: 'publish', to: 'p' }), rule({ action: 'subscribe', to: 's' })])
  assert.equal(rewriter.topic('old/a/b', NAMES), 'p')
  assert.equal(rewriter.filter('old/a/b', NAMES), 's')
})

test('what is no topic is refused: wildcards, too many levels, too long, and names with a meaning of their own', () => {
  const to = (template: string) => new TopicRewriter(4, [rule({ to: template })]).topic('old/a/b', NAMES)
  for (const template of ['a/+', '#', 'a/b/c/d/e', '$delayed/1/x', '$share/g/x', '$exclusive/x', 'x'.repeat(70_000)]) {
    assert.equal(to(template), undefined, template.slice(0, 20))
  }
  assert.equal(to('a/b/c/d'), 'a/b/c/d')
})

test('a name with a wildcard in it makes nothing: it would reach what is not its own', () => {
  const rewriter = new TopicRewriter(10, [rule({ action: 'subscribe', to: 'inbox/%c' })])
  assert.equal(rewriter.filter('old/a/b', { clientId: '#', userName: undefined }), undefined)
  assert.equal(rewriter.filter('old/a/b', { clientId: 'c', userName: undefined }), 'inbox/c')
  const byUser = new TopicRewriter(10, [rule({ to: 'u/%u' })])
  assert.equal(byUser.topic('old/a/b', { clientId: 'c', userName: undefined }), undefined, 'nor does a name that is not there')
})

test('a topic too long to be looked at does not pass by its rule', () => {
  const rewriter = new TopicRewriter(10, [rule()])
  assert.equal(rewriter.topic(`old/a/${'b'.repeat(2_000)}`, NAMES), undefined)
  const other = `other/${'b'.repeat(2_000)}`
  assert.equal(rewriter.topic(other, NAMES), other)
})

test('other rules are another object, so that what was found by the earlier ones can be told', () => {
  const rewriter = new TopicRewriter(10, [])
  const before = rewriter.rules
  assert.equal(rewriter.topic('old/a/b', NAMES), 'old/a/b')
  rewriter.setRules([rule()])
  assert.notEqual(rewriter.rules, before)
  assert.equal(rewriter.topic('old/a/b', NAMES), 'new/b/a')
})
