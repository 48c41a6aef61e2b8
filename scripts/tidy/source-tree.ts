// SPDX-License-Identifier: Apache-2.0
// What the checks of tidy look at: the files of the repository, those with code parsed once, and how imports resolve among them.
import path from 'node:path'
import ts from 'typescript'

/** Paths use '/', relative to the root of the repository. */
export interface TextFile {
  readonly path: string
  readonly text: string
}

export interface Problem {
  readonly path: string
  /** From 1. */
  readonly line: number
  readonly rule: string
  readonly sentence: string
}

export interface Import {
  readonly specifier: string
  readonly line: number
}

export interface Module extends TextFile {
  readonly syntax: ts.SourceFile
  readonly imports: readonly Import[]
}

export interface SourceTree {
  readonly files: readonly TextFile[]
  /** Those of the files that are TypeScript or JavaScript. */
  readonly modules: readonly Module[]
}

export type Check = (tree: SourceTree) => readonly Problem[]

const CODE = /\.(ts|cts|mts|js|cjs|mjs)$/

export function parseTree(files: readonly TextFile[]): SourceTree {
  return { files, modules: files.filter((file) => CODE.test(file.path)).map(parseModule) }
}

function parseModule(file: TextFile): Module {
  const syntax = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.ES2022, true)
  const imports: Import[] = []
  visit(syntax, (node) => {
    const specifier = specifierOf(node)
    if (specifier !== undefined) imports.push({ specifier: specifier.text, line: lineOf(syntax, specifier) })
  })
  return { ...file, syntax, imports }
}

/** Static, type-only and dynamic imports, re-exports, and `new URL('./worker.ts', import.meta.url)`, which names a module to run. */
function specifierOf(node: ts.Node): ts.StringLiteralLike | undefined {
  const named = importedName(node)
  if (named === undefined || !ts.isStringLiteralLike(named)) return undefined
  // Any file can be named by a URL; only code is an import.
  return ts.isNewExpression(node) && !CODE.test(named.text) ? undefined : named
}

function importedName(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) return node.argument.literal
  if (ts.isImportEqualsDeclaration(node) && ts.isExternalModuleReference(node.moduleReference)) return node.moduleReference.expression
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) return node.arguments[0]
  if (ts.isNewExpression(node) && node.expression.getText() === 'URL' && node.arguments?.[1]?.getText() === 'import.meta.url') {
    return node.arguments[0]
  }
  return undefined
}

/** The file an import reaches, by name only: it may not exist. Undefined for packages, Node's own modules and unknown aliases. */
export function resolveImport(from: string, specifier: string): string | undefined {
  const source = specifier.replace(/js$/, 'ts')
  if (specifier.startsWith('.')) return path.posix.join(path.posix.dirname(from), source)
  const [, layer, rest] = /^#([a-z]+)(?:\/(.+))?$/.exec(specifier) ?? []
  if (layer === undefined) return undefined
  return rest === undefined ? `src/${layer}/index.ts` : `src/${layer}/${rest}.ts`
}

/** The name of the package an import comes from, without the path into it. */
export function packageOf(specifier: string): string {
  const parts = specifier.split('/')
  return parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/')
}

/** Calls `see` for a node and everything below it, in order of the text. */
export function visit(node: ts.Node, see: (node: ts.Node) => void): void {
  see(node)
  ts.forEachChild(node, (child) => visit(child, see))
}

export function lineOf(syntax: ts.SourceFile, node: ts.Node): number {
  return syntax.getLineAndCharacterOfPosition(node.getStart(syntax)).line + 1
}

/** Whether code of the product: sources and wiring, not tests or tools. */
export const isProduct = (file: string): boolean => file.startsWith('src/') || file.startsWith('roles/')
