// SPDX-License-Identifier: Apache-2.0
// How long files and functions may be.
import ts from 'typescript'
import { FILE_LINES_MAX, FUNCTION_LINES_MAX } from './architecture.ts'
import { lineOf, type Module, type Problem, type SourceTree, visit } from './source-tree.ts'

const GENERATED = /\/generated\//
/** What node:test calls a test or a group of tests: it has as many lines as its story needs. */
const TEST_FUNCTIONS: ReadonlySet<string> = new Set(['test', 'it', 'describe', 'suite'])

export function checkFileLengths(tree: SourceTree): readonly Problem[] {
  return tree.modules.flatMap((module) => {
    const linesMax = FILE_LINES_MAX.find(([place]) => module.path.startsWith(place))?.[1]
    const lines = module.text.trimEnd().split('\n').length
    if (linesMax === undefined || lines <= linesMax || GENERATED.test(module.path)) return []
    return [
      {
        path: module.path,
        line: linesMax + 1,
        rule: 'file-length',
        sentence: `${lines} lines, over ${linesMax}; split it by responsibility`,
      },
    ]
  })
}

export function checkFunctionLengths(tree: SourceTree): readonly Problem[] {
  return tree.modules.filter((module) => !GENERATED.test(module.path)).flatMap(checkFunctions)
}

function checkFunctions(module: Module): readonly Problem[] {
  const problems: Problem[] = []
  visit(module.syntax, (node) => {
    if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined || isTestCode(node)) return
    const line = lineOf(module.syntax, node)
    const lines = module.syntax.getLineAndCharacterOfPosition(node.end).line + 2 - line
    if (lines <= FUNCTION_LINES_MAX) return
    const name = node.name?.getText() ?? 'this function'
    problems.push({ path: module.path, line, rule: 'function-length', sentence: `${name} has ${lines} lines, over ${FUNCTION_LINES_MAX}` })
  })
  return problems
}

/** The body of a test, or a function that is nothing but a list of tests: an abstract suite. */
function isTestCode(node: ts.SignatureDeclaration): boolean {
  if (ts.isCallExpression(node.parent)) return isTestCall(node.parent)
  const body = (node as ts.FunctionLikeDeclaration).body
  return (
    body !== undefined && ts.isBlock(body) && body.statements.some((item) => ts.isExpressionStatement(item) && isTestCall(item.expression))
  )
}

/** `test(...)`, `test.skip(...)`, `t.test(...)`, awaited or not. */
export function isTestCall(expression: ts.Node): expression is ts.CallExpression {
  if (ts.isAwaitExpression(expression) || ts.isVoidExpression(expression)) return isTestCall(expression.expression)
  if (!ts.isCallExpression(expression)) return false
  return expression.expression
    .getText()
    .split('.')
    .some((name) => TEST_FUNCTIONS.has(name))
}
