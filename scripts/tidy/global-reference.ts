// SPDX-License-Identifier: Apache-2.0
// Whether an identifier stands for a global: it is used as a value or a type, and no scope around it declares that name.
// Read off the syntax tree alone, so that a check needs no types and no second file.
import ts from 'typescript'

export function isGlobalReference(identifier: ts.Identifier): boolean {
  if (!isUse(identifier)) return false
  for (let scope = identifier.parent as ts.Node | undefined; scope !== undefined; scope = scope.parent) {
    if (declares(scope, identifier.text)) return false
  }
  return true
}

/** Not the name of a member, a property or a declaration. */
function isUse(identifier: ts.Identifier): boolean {
  const parent = identifier.parent
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === identifier
  if (ts.isQualifiedName(parent)) return parent.left === identifier
  if (ts.isBindingElement(parent)) return parent.initializer === identifier
  if (ts.isShorthandPropertyAssignment(parent)) return true
  if (ts.isImportSpecifier(parent) || ts.isImportClause(parent) || ts.isNamespaceImport(parent)) return false
  if (ts.isExportSpecifier(parent))
    return (parent.propertyName ?? parent.name) === identifier && parent.parent.parent.moduleSpecifier === undefined
  return (parent as { name?: ts.Node }).name !== identifier
}

function declares(scope: ts.Node, name: string): boolean {
  if (ts.isFunctionLike(scope)) {
    return scope.parameters.some((parameter) => binds(parameter.name, name)) || isNamed(scope, name) || hasTypeParameter(scope, name)
  }
  if (ts.isClassLike(scope) || ts.isInterfaceDeclaration(scope) || ts.isTypeAliasDeclaration(scope)) {
    return isNamed(scope, name) || hasTypeParameter(scope, name)
  }
  if (ts.isSourceFile(scope) || ts.isBlock(scope) || ts.isModuleBlock(scope) || ts.isCaseOrDefaultClause(scope)) {
    return scope.statements.some((statement) => statementDeclares(statement, name))
  }
  if (ts.isForStatement(scope) || ts.isForOfStatement(scope) || ts.isForInStatement(scope)) {
    const first = scope.initializer
    return first !== undefined && ts.isVariableDeclarationList(first) && listDeclares(first, name)
  }
  return ts.isCatchClause(scope) && scope.variableDeclaration !== undefined && binds(scope.variableDeclaration.name, name)
}

function statementDeclares(statement: ts.Statement, name: string): boolean {
  if (ts.isVariableStatement(statement)) return listDeclares(statement.declarationList, name)
  if (ts.isImportDeclaration(statement)) return importDeclares(statement.importClause, name)
  return (
    (ts.isFunctionDeclaration(statement) ||
      ts.isClassDeclaration(statement) ||
      ts.isInterfaceDeclaration(statement) ||
      ts.isTypeAliasDeclaration(statement)) &&
    isNamed(statement, name)
  )
}

function importDeclares(clause: ts.ImportClause | undefined, name: string): boolean {
  if (clause === undefined) return false
  if (clause.name?.text === name) return true
  const bindings = clause.namedBindings
  if (bindings === undefined) return false
  return ts.isNamespaceImport(bindings) ? bindings.name.text === name : bindings.elements.some((element) => element.name.text === name)
}

const listDeclares = (list: ts.VariableDeclarationList, name: string): boolean =>
  list.declarations.some((declaration) => binds(declaration.name, name))

/** Whether a name or a destructuring pattern binds `name`. */
function binds(binding: ts.BindingName, name: string): boolean {
  if (ts.isIdentifier(binding)) return binding.text === name
  return binding.elements.some((element) => ts.isBindingElement(element) && binds(element.name, name))
}

const isNamed = (node: ts.NamedDeclaration, name: string): boolean =>
  node.name !== undefined && ts.isIdentifier(node.name) && node.name.text === name

const hasTypeParameter = (
  node: { readonly typeParameters?: ts.NodeArray<ts.TypeParameterDeclaration> | undefined },
  name: string,
): boolean => node.typeParameters?.some((parameter) => parameter.name.text === name) ?? false
