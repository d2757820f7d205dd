import { defineKind } from 'teatree'
import { WAYS_OF_WRITING } from '../../../src/kinds/definition.ts'
import { orchard } from '../../engine/reader-model.ts'

const { tables, queries: _, ...definition } = orchard.definition

/** The orchard that the readers' tests read, as clients may fill it, on every engine. */
export default defineKind({
  ...definition,
  engines: ['DUCKDB', 'ARROW'],
  tables: Object.fromEntries(
    Object.entries(tables).map(([name, table]) => [name, { ...table, writes: WAYS_OF_WRITING }]),
  ),
})
