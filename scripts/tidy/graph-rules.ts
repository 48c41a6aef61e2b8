// SPDX-License-Identifier: Apache-2.0
// The import graph as a whole: no cycles, and nothing that cannot be reached.
import { type Module, type Problem, resolveImport, type SourceTree } from './source-tree.ts'

type Graph = ReadonlyMap<string, readonly string[]>

/** Imports of types count too: a cycle of types is two files that are really one. */
export function checkCycles(tree: SourceTree): readonly Problem[] {
  const graph = graphOf(tree)
  return [...graph.keys()].flatMap((start) => {
    const cycle = shortestCycle(graph, start)
    if (cycle === undefined) return []
    return [{ path: start, line: lineOfImport(tree, start, cycle[1] ?? start), rule: 'cycle', sentence: [...cycle, start].join(' > ') }]
  })
}

/** Source files that neither the wiring nor a tool reaches. A test does not count: what only a test uses belongs in test/. */
export function checkUnused(tree: SourceTree): readonly Problem[] {
  const graph = graphOf(tree)
  const reached = new Set<string>()
  const waiting = [...graph.keys()].filter((file) => file.startsWith('roles/') || file.startsWith('scripts/'))
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (reached.has(file)) continue
    reached.add(file)
    waiting.push(...(graph.get(file) ?? []))
  }
  return tree.modules
    .filter((module) => module.path.startsWith('src/') && !module.path.endsWith('.d.ts') && !reached.has(module.path))
    .map((module) => ({ path: module.path, line: 1, rule: 'unused', sentence: 'nothing that roles/ or scripts/ start reaches this file' }))
}

/** Edges between files that exist. */
function graphOf(tree: SourceTree): Graph {
  const present = new Set(tree.modules.map((module) => module.path))
  return new Map(tree.modules.map((module) => [module.path, edgesOf(module).filter((file) => present.has(file))]))
}

const edgesOf = (module: Module): readonly string[] =>
  [...new Set(module.imports.map((item) => resolveImport(module.path, item.specifier)))].filter((file) => file !== undefined)

/** Breadth first from `start` back to it, past no file of a lower name: so each cycle is told once, at the first of its files. */
function shortestCycle(graph: Graph, start: string): readonly string[] | undefined {
  const cameFrom = new Map<string, string>()
  const waiting = [start]
  for (const file of waiting) {
    for (const next of graph.get(file) ?? []) {
      if (next === start) return pathTo(file, start, cameFrom)
      if (next < start || cameFrom.has(next)) continue
      cameFrom.set(next, file)
      waiting.push(next)
    }
  }
  return undefined
}

function pathTo(file: string, start: string, cameFrom: ReadonlyMap<string, string>): readonly string[] {
  const path = [file]
  for (let at = file; at !== start; ) {
    at = cameFrom.get(at) ?? start
    path.unshift(at)
  }
  return path
}

function lineOfImport(tree: SourceTree, from: string, to: string): number {
  const module = tree.modules.find((candidate) => candidate.path === from)
  return module?.imports.find((item) => resolveImport(from, item.specifier) === to)?.line ?? 1
}
