import type { KindShape, Table } from './kind.ts'

/** What of the tables a model remembers. */
export function shapeOf(tables: ReadonlyMap<string, Table>): KindShape {
  return Object.fromEntries(
    [...tables.values()].map(({ name, columns, key }) => [
      name,
      {
        columns: Object.fromEntries([...columns.values()].map(c => [c.name, `${c.type}${c.nullable ? '?' : ''}`])),
        key: [...key],
      },
    ]),
  )
}

/** What a model takes up by itself when it is next opened: a new table, or a new nullable column of an old one. */
export type Addition = { is: 'table'; table: string } | { is: 'column'; table: string; column: string }

export interface ShapeDifference {
  /** In the order of the new shape. */
  additive: readonly Addition[]
  /** What the model cannot take up (KIND_CHANGED), one readable difference each. */
  breaking: readonly string[]
}

/** How a kind's tables differ from what a model was made with. Both lists empty: not at all. The order of columns is nothing. */
export function shapeDifference(old: KindShape, now: KindShape): ShapeDifference {
  const additive: Addition[] = []
  const breaking = Object.keys(old)
    .filter(name => !Object.hasOwn(now, name))
    .map(name => `table ${name} is gone`)
  for (const [name, table] of Object.entries(now)) {
    const before = Object.hasOwn(old, name) ? old[name] : undefined
    if (!before) {
      additive.push({ is: 'table', table: name })
      continue
    }
    const columns = new Map(Object.entries(before.columns))
    for (const [column, type] of Object.entries(table.columns)) {
      const was = columns.get(column)
      columns.delete(column)
      if (was === undefined && type.endsWith('?')) additive.push({ is: 'column', table: name, column })
      else if (was === undefined) breaking.push(`column ${name}.${column} is new and must be nullable, ${type}?`)
      else if (was !== type) breaking.push(`column ${name}.${column} was ${was} and is ${type}`)
    }
    for (const column of columns.keys()) breaking.push(`column ${name}.${column} is gone`)
    const keys = [before.key.join(', '), table.key.join(', ')]
    if (keys[0] !== keys[1]) breaking.push(`the key of ${name} was ${keys[0]} and is ${keys[1]}`)
  }
  return { additive, breaking }
}
