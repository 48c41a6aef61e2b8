// SPDX-License-Identifier: Apache-2.0
// What code may say: outside effects only where they are allowed, pure cores, no state in modules, no default exports.
import ts from 'typescript'
import { BANNED_GLOBALS, BANNED_MEMBERS, DEFAULT_EXPORT_DEMANDED, EFFECTS_ALLOWED } from './architecture.ts'
import { isGlobalReference } from './global-reference.ts'
import { isProduct, lineOf, type Module, type Problem, type SourceTree, visit } from './source-tree.ts'

/** Time, randomness, timers, processes and locales are parameters (STYLE 3.4), because the simulator replaces them all. */
export function checkEffects(tree: SourceTree): readonly Problem[] {
  return tree.modules
    .filter((module) => isProduct(module.path) && !EFFECTS_ALLOWED.some((place) => module.path.startsWith(place)))
    .flatMap((module) => collect(module, 'effect', effectObjection))
}

function effectObjection(node: ts.Node): string | undefined {
  if (ts.isPropertyAccessExpression(node)) {
    const member = node.name.text
    if (BANNED_MEMBERS.includes(member)) return `${member} depends on the locale of the machine; compare by code unit`
    if (member === 'random' && node.expression.getText() === 'Math') return 'Math.random cannot be repeated; use the Random port'
  }
  if (!ts.isIdentifier(node)) return undefined
  const instead = BANNED_GLOBALS.get(node.text)
  if (instead === undefined || isInstanceTest(node) || !isGlobalReference(node)) return undefined
  return `${node.text} is the outside world; use ${instead}`
}

/** `value instanceof Date` asks for no time. */
const isInstanceTest = (node: ts.Node): boolean =>
  ts.isBinaryExpression(node.parent) && node.parent.operatorToken.kind === ts.SyntaxKind.InstanceOfKeyword && node.parent.right === node

/** A folder named core is synchronous and knows no port: it is stepped, and returns what is to be done. */
export function checkCores(tree: SourceTree): readonly Problem[] {
  return tree.modules
    .filter((module) => /^src\/(.+\/)?core\//.test(module.path))
    .flatMap((module) => [
      ...collect(module, 'core', asynchronyObjection),
      ...module.imports
        .filter((item) => item.specifier.startsWith('#base/port/'))
        .map((item) => ({
          path: module.path,
          line: item.line,
          rule: 'core',
          sentence: `a core knows no port, and ${item.specifier} is one`,
        })),
    ])
}

function asynchronyObjection(node: ts.Node): string | undefined {
  const isAsynchronous =
    node.kind === ts.SyntaxKind.AsyncKeyword ||
    node.kind === ts.SyntaxKind.AwaitKeyword ||
    ts.isAwaitExpression(node) ||
    (ts.isIdentifier(node) && (node.text === 'Promise' || node.text === 'queueMicrotask') && isGlobalReference(node))
  return isAsynchronous ? `a core is synchronous: no ${node.getText().split(/\W/)[0]}` : undefined
}

/** Importing a module has no effect and shares no state. The wiring in roles may act, which is its job. */
export function checkModuleState(tree: SourceTree): readonly Problem[] {
  return tree.modules
    .filter((module) => isProduct(module.path))
    .flatMap((module) =>
      module.syntax.statements.flatMap((statement) => {
        const sentence = statementObjection(statement, module.path.startsWith('src/'))
        return sentence === undefined ? [] : [{ path: module.path, line: lineOf(module.syntax, statement), rule: 'module-state', sentence }]
      }),
    )
}

function statementObjection(statement: ts.Statement, isSource: boolean): string | undefined {
  if (ts.isVariableStatement(statement)) {
    const list = statement.declarationList
    const isAmbient = statement.modifiers?.some((modifier) => modifier.kind === ts.SyntaxKind.DeclareKeyword) ?? false
    if ((list.flags & ts.NodeFlags.Const) === 0 && !isAmbient) return 'a module has no variable; give the state an owner'
    const shared = list.declarations.find(isMutableCollection)
    return shared && `${shared.name.getText()} is state that all users of the module share; declare it Readonly, or give it an owner`
  }
  // Loops that fill a table of the module's own are not meant: nobody sees them.
  const acts = isSource && ts.isExpressionStatement(statement)
  return acts ? 'importing a module has no effect; move the statement into a function' : undefined
}

function isMutableCollection(declaration: ts.VariableDeclaration): boolean {
  const value = declaration.initializer
  if (value === undefined || !ts.isNewExpression(value)) return false
  return /^(Weak)?(Map|Set)$/.test(value.expression.getText()) && !/^Readonly(Map|Set)\b/.test(declaration.type?.getText() ?? '')
}

/** One name for one thing, everywhere: an export is imported under the name it has. */
export function checkDefaultExports(tree: SourceTree): readonly Problem[] {
  return tree.modules
    .filter((module) => !module.path.endsWith('.d.ts') && !DEFAULT_EXPORT_DEMANDED.includes(module.path))
    .flatMap((module) =>
      module.syntax.statements.filter(isDefaultExport).map((statement) => ({
        path: module.path,
        line: lineOf(module.syntax, statement),
        rule: 'default-export',
        sentence: 'a default export has a different name at every import; export it by its name',
      })),
    )
}

const isDefaultExport = (statement: ts.Statement): boolean =>
  ts.isExportAssignment(statement) ||
  (ts.canHaveModifiers(statement) &&
    (ts.getModifiers(statement)?.some((modifier) => modifier.kind === ts.SyntaxKind.DefaultKeyword) ?? false)) ||
  (ts.isExportDeclaration(statement) &&
    statement.exportClause !== undefined &&
    ts.isNamedExports(statement.exportClause) &&
    statement.exportClause.elements.some((element) => element.name.text === 'default'))

function collect(module: Module, rule: string, objectionTo: (node: ts.Node) => string | undefined): readonly Problem[] {
  const problems: Problem[] = []
  visit(module.syntax, (node) => {
    const sentence = objectionTo(node)
    if (sentence !== undefined) problems.push({ path: module.path, line: lineOf(module.syntax, node), rule, sentence })
  })
  return problems
}
