// SPDX-License-Identifier: Apache-2.0
// Tests: within a file every test has a name of its own, so that a failure names one place.
import ts from 'typescript'
import { isTestCall } from './size-rules.ts'
import { lineOf, type Module, type Problem, type SourceTree, visit } from './source-tree.ts'

export function checkTestTitles(tree: SourceTree): readonly Problem[] {
  return tree.modules.filter((module) => module.path.endsWith('.test.ts')).flatMap(checkTitles)
}

function checkTitles(module: Module): readonly Problem[] {
  const problems: Problem[] = []
  const seen = new Set<string>()
  visit(module.syntax, (node) => {
    if (!ts.isCallExpression(node) || !isTestCall(node)) return
    const title = titleOf(node)
    if (title === undefined) return
    const full = [...titlesAround(node), title].join(' > ')
    if (seen.has(full)) {
      problems.push({
        path: module.path,
        line: lineOf(module.syntax, node),
        rule: 'test-name',
        sentence: `a second test is called "${full}"`,
      })
    }
    seen.add(full)
  })
  return problems
}

/** Only literal titles can be compared. */
function titleOf(call: ts.CallExpression): string | undefined {
  const [first] = call.arguments
  return first !== undefined && ts.isStringLiteralLike(first) ? first.text : undefined
}

function titlesAround(node: ts.Node): readonly string[] {
  const titles: string[] = []
  for (let outer = node.parent; outer !== undefined; outer = outer.parent) {
    if (!ts.isCallExpression(outer) || !isTestCall(outer)) continue
    const title = titleOf(outer)
    if (title !== undefined) titles.unshift(title)
  }
  return titles
}
