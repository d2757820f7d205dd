import { UsageError } from '../../src/platform/errors.ts'

/** A small sound definition, `shop`, with the changes: what a test breaks one place of. */
export function shop(changes: Record<string, unknown> = {}, tables: Record<string, unknown> = {}): unknown {
  return {
    name: 'shop',
    description: 'A shop.',
    engines: ['DUCKDB'],
    tables: {
      items: itemsTable(),
      shelves: {
        row: 'Shelf',
        description: 'Where items lie.',
        columns: { aisle: 'VARCHAR', number: 'INTEGER', free: 'BOOLEAN?' },
        key: ['aisle', 'number'],
        writes: ['append', 'update'],
      },
      ...tables,
    },
    ...changes,
  }
}

export function itemsTable(changes: Record<string, unknown> = {}, columns: Record<string, unknown> = {}) {
  return {
    row: 'Item',
    description: 'What is sold.',
    columns: { itemId: 'VARCHAR', aisle: 'VARCHAR?', shelf: 'INTEGER', weight: 'DOUBLE?', ...columns },
    key: ['itemId'],
    references: [{ columns: ['aisle', 'shelf'], table: 'shelves', as: 'place' }],
    writes: ['append', 'upsert', 'update', 'delete', 'import'],
    ...changes,
  }
}

/** A sound function of such a kind, with the changes. */
export const countItems = (changes: Record<string, unknown> = {}) => ({
  description: 'Counts.',
  arguments: {},
  result: { name: 'ItemsCounted', description: 'How many.', columns: { items: 'BIGINT' } },
  engines: { DUCKDB: async () => ({ items: '0' }) },
  ...changes,
})

/** A sound query function of such a kind, with the changes. */
export const heavyItems = (changes: Record<string, unknown> = {}) => ({
  description: 'What is heavy.',
  arguments: {},
  row: { name: 'HeavyItem', description: 'An item.', columns: { itemId: 'VARCHAR' } },
  engines: { DUCKDB: async () => ({ select: 'SELECT itemId FROM items', params: {}, orderBy: ['itemId'] }) },
  ...changes,
})

/** The one line with which `act` stops the start; whatever else it throws goes through. */
export function usage(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (error instanceof UsageError) return error.message
    throw error
  }
  throw new Error('it did not stop')
}
