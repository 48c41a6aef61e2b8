// SPDX-License-Identifier: Apache-2.0
// Imports against the architecture: ranks, the way a layer is addressed, order inside a layer, alternatives, packages.
import { isBuiltin } from 'node:module'
import { EFFECTS_ALLOWED, FOLDERS_OF_ALTERNATIVES, LAYERS, LAYERS_ADDRESSED_BY_FILE, PACKAGES, PARTS, type Part } from './architecture.ts'
import { type Import, isProduct, type Module, type Problem, packageOf, resolveImport, type SourceTree } from './source-tree.ts'

export function checkImports(tree: SourceTree): readonly Problem[] {
  return tree.modules
    .filter((module) => isProduct(module.path))
    .flatMap((module) => {
      const layer = layerOf(module.path)
      if (layer === undefined || LAYERS[layer] === undefined) {
        return [problem(module, 1, 'layer', `${module.path} is in no layer; the layers are in scripts/tidy/architecture.ts`)]
      }
      return module.imports.flatMap((item) => checkImport(module, layer, item))
    })
}

function checkImport(module: Module, layer: string, item: Import): readonly Problem[] {
  const target = resolveImport(module.path, item.specifier)
  const sentence =
    target === undefined
      ? packageObjection(module.path, item.specifier)
      : (layerObjection(layer, item.specifier, target) ??
        partObjection(layer, module.path, target) ??
        alternativeObjection(module.path, target))
  return sentence === undefined ? [] : [problem(module, item.line, 'import', sentence)]
}

function layerObjection(layer: string, specifier: string, target: string): string | undefined {
  const other = layerOf(target)
  if (other === undefined) return `the product never imports ${target.split('/')[0]}/; builders and fakes stay there`
  if (specifier.startsWith('.')) {
    return other === layer ? undefined : `a relative import stays inside its layer; write ${addressOf(other)} for ${target}`
  }
  if (other === layer) return `inside ${layer} imports are relative`
  const known = LAYERS[other]
  const own = LAYERS[layer]
  if (known === undefined || own === undefined) return `${specifier} names no layer`
  if (!own.mayImport.includes(other)) {
    const direction = known.rank > own.rank ? 'upward' : known.rank === own.rank ? 'sideways' : 'past its boundary'
    return `${layer} imports ${direction}: it may not know ${other}, only ${own.mayImport.join(', ') || 'itself'}`
  }
  const isByFile = specifier.includes('/')
  if (isByFile !== LAYERS_ADDRESSED_BY_FILE.includes(other)) return `${other} is imported as ${addressOf(other)}`
  return undefined
}

function partObjection(layer: string, from: string, target: string): string | undefined {
  const own = partOf(layer, from)
  const other = partOf(layer, target)
  if (layerOf(target) !== layer || own === undefined || other === undefined || own === other) return undefined
  if (own.mayImport.includes('*') || own.mayImport.includes(other.part)) return undefined
  const allowed = own.mayImport.map((part) => part || 'files of no part').join(', ')
  return `inside ${layer}, ${own.part || 'this file'} may not import ${other.part || target}, only ${allowed || 'itself'}`
}

function partOf(layer: string, file: string): Part | undefined {
  const inside = file.slice(`src/${layer}/`.length)
  const fitting = PARTS[layer]?.filter(({ part }) => inside.startsWith(part)) ?? []
  return fitting.reduce<Part | undefined>(
    (best, part) => (best === undefined || part.part.length > best.part.length ? part : best),
    undefined,
  )
}

function alternativeObjection(from: string, target: string): string | undefined {
  for (const folder of FOLDERS_OF_ALTERNATIVES) {
    const own = childFolder(folder, from)
    const other = childFolder(folder, target)
    if (own !== undefined && other !== undefined && own !== other) {
      return `${own} and ${other} are alternatives in ${folder}; they share only what stands above them`
    }
  }
  return undefined
}

function childFolder(folder: string, file: string): string | undefined {
  const rest = file.startsWith(`${folder}/`) ? file.slice(folder.length + 1).split('/') : []
  return rest.length > 1 ? rest[0] : undefined
}

function packageObjection(from: string, specifier: string): string | undefined {
  if (specifier.startsWith('#')) return `${specifier} names no layer`
  if (isBuiltin(specifier)) {
    return isAt(from, EFFECTS_ALLOWED) ? undefined : `${specifier} is the outside world, which is reached through the ports of #base/port`
  }
  const name = packageOf(specifier)
  const places = PACKAGES[name]
  if (places === undefined) return `the package ${name} is not in the table of scripts/tidy/architecture.ts`
  return isAt(from, places) ? undefined : `the package ${name} is only for ${places.join(', ')}`
}

function isAt(file: string, places: readonly string[]): boolean {
  return places.some((place) => (place.startsWith('*') ? file.endsWith(place.slice(1)) : file.startsWith(place)))
}

/** The folder of src that a file is in, or 'roles'. Undefined outside of the product. */
function layerOf(file: string): string | undefined {
  if (file.startsWith('roles/')) return 'roles'
  const [root, layer, ...rest] = file.split('/')
  return root === 'src' && rest.length > 0 ? layer : undefined
}

const addressOf = (layer: string): string => (LAYERS_ADDRESSED_BY_FILE.includes(layer) ? `#${layer}/<file>` : `#${layer}`)

const problem = (module: Module, line: number, rule: string, sentence: string): Problem => ({ path: module.path, line, rule, sentence })
