// SPDX-License-Identifier: Apache-2.0
// What only types can tell: promises that nobody waits for, and switches that leave out a case. The compiler's own types are
// asked, because the linter's stop at imports by layer name (`#base/…`) and at Node's modules.
import ts from 'typescript'
import { isTestCall } from './size-rules.ts'
import { lineOf, type Problem, visit } from './source-tree.ts'

/** `root` is the directory that reported paths are relative to, ending in '/'. Looks at the files of the program below it. */
export function checkTypes(program: ts.Program, root: string): readonly Problem[] {
  const checker = program.getTypeChecker()
  const own = program.getSourceFiles().filter((file) => file.fileName.startsWith(root) && !file.fileName.includes('/node_modules/'))
  return own.flatMap((syntax) => {
    const problems: Problem[] = []
    visit(syntax, (node) => {
      const sentence = floatingObjection(checker, node) ?? unawaitedCallbackObjection(checker, node) ?? switchObjection(checker, node)
      if (sentence === undefined) return
      problems.push({ path: syntax.fileName.slice(root.length), line: lineOf(syntax, node), ...sentence })
    })
    return problems
  })
}

/** The program of a tsconfig.json. */
export function loadProgram(configFile: string): ts.Program {
  const { config } = ts.readConfigFile(configFile, ts.sys.readFile)
  const { fileNames, options } = ts.parseJsonConfigFileContent(config, ts.sys, configFile.slice(0, configFile.lastIndexOf('/')))
  return ts.createProgram(fileNames, { ...options, noEmit: true })
}

type Objection = Pick<Problem, 'rule' | 'sentence'>

/** A promise is awaited, returned, kept, caught, or given up in so many words: `void`. */
function floatingObjection(checker: ts.TypeChecker, node: ts.Node): Objection | undefined {
  if (!ts.isExpressionStatement(node) || isTestCall(node.expression) || isHandled(node.expression)) return undefined
  if (isAssignment(node.expression)) return undefined
  if (!isPromise(checker, checker.getTypeAtLocation(node.expression))) return undefined
  return { rule: 'floating-promise', sentence: 'nobody learns when this promise fails; await it, catch it, or say void' }
}

function isAssignment(expression: ts.Expression): boolean {
  if (!ts.isBinaryExpression(expression)) return false
  const operator = expression.operatorToken.kind
  return operator >= ts.SyntaxKind.FirstAssignment && operator <= ts.SyntaxKind.LastAssignment
}

/** `promise.catch(f)`, or `promise.then(f, g)`. */
function isHandled(expression: ts.Expression): boolean {
  if (!ts.isCallExpression(expression) || !ts.isPropertyAccessExpression(expression.expression)) return false
  const method = expression.expression.name.text
  return (method === 'catch' && expression.arguments.length > 0) || (method === 'then' && expression.arguments.length > 1)
}

/** An asynchronous function given to somebody who expects nothing back, and therefore does not wait for it. */
function unawaitedCallbackObjection(checker: ts.TypeChecker, node: ts.Node): Objection | undefined {
  if (!ts.isArrowFunction(node) && !ts.isFunctionExpression(node)) return undefined
  const isAsync = node.modifiers?.some((modifier) => modifier.kind === ts.SyntaxKind.AsyncKeyword) ?? false
  if (!isAsync || !ts.isCallExpression(node.parent) || isTestCall(node.parent)) return undefined
  const expected = checker.getContextualType(node)?.getNonNullableType().getCallSignatures() ?? []
  const isVoid = expected.length > 0 && expected.every((signature) => (signature.getReturnType().flags & ts.TypeFlags.Void) !== 0)
  return isVoid ? { rule: 'floating-promise', sentence: 'the receiver of this async function does not wait for it' } : undefined
}

/** A switch over a closed set of literals names them all, or has a default. */
function switchObjection(checker: ts.TypeChecker, node: ts.Node): Objection | undefined {
  if (!ts.isSwitchStatement(node) || node.caseBlock.clauses.some(ts.isDefaultClause)) return undefined
  const type = checker.getTypeAtLocation(node.expression)
  if (!type.isUnion() || !type.types.every((member) => member.isLiteral() || (member.flags & ts.TypeFlags.BooleanLiteral) !== 0))
    return undefined
  const named = new Set(node.caseBlock.clauses.filter(ts.isCaseClause).map((clause) => checker.getTypeAtLocation(clause.expression)))
  const missing = type.types.filter((member) => ![...named].some((label) => isSame(label, member)))
  if (missing.length === 0) return undefined
  const list = missing.map((member) => checker.typeToString(member)).join(', ')
  return { rule: 'switch', sentence: `the switch leaves out ${list}; name them, or add a default` }
}

/** The type of a label may be the fresh form of the literal type it stands for. */
function isSame(a: ts.Type, b: ts.Type): boolean {
  return a === b || (a.isLiteral() && b.isLiteral() && a.value === b.value)
}

function isPromise(checker: ts.TypeChecker, type: ts.Type): boolean {
  const parts = type.isUnion() ? type.types : [type]
  return parts.some((part) => {
    const then = checker.getPropertyOfType(part, 'then')
    return then !== undefined && checker.getTypeOfSymbol(then).getCallSignatures().length > 0
  })
}
