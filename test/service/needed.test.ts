import { expect, test } from 'vitest'
import { neededBetween, nextArchive } from '../../src/jobs/needed.ts'
import { openControl } from '../support/control.ts'

test('what a kept version would be made again from is needed, through whoever was read', async () => {
  await using control = await openControl()
  const { db, ledger, models } = control
  for (const [id, kind] of [
    ['s', 'sales'],
    ['g', 'goals'],
    ['h', 'goals'],
  ] as const)
    await models.create({ id, kind })
  await db.query(`UPDATE model_version SET kept = false`)
  const versions = async (model: string, numbers: number[], kept: number[]) => {
    for (const version of numbers)
      await db.query(
        `INSERT INTO model_version (model, version, epoch, last_seq, completions, tables, kept) VALUES ($1, $2::integer, 1, $2::integer, 0, '[]', $3)`,
        [model, version, kept.includes(version)],
      )
  }
  const archive = (model: string, version: number, state = 'THERE') =>
    db.query(`INSERT INTO archive (model, version, state, shape, tables) VALUES ($1, $2, $3, '{}', '[]')`, [
      model,
      version,
      state,
    ])
  const published = async (model: string, version: number, read: [string, number]) => {
    const { id } = await ledger.submit({ model, function: 'refreshActuals', arguments: {}, alone: true })
    await db.query(`UPDATE intent SET status = 'PUBLISHED', version = $2, ended_at = now() WHERE id = $1`, [
      id,
      version,
    ])
    await db.query(`INSERT INTO intent_read (intent, alias, model, version) VALUES ($1, 'source', $2, $3)`, [
      id,
      ...read,
    ])
  }
  const isNeeded = async (model: string, from: number, before: number | null) => {
    const [row] = await db.query<{ needed: boolean }>(`SELECT ${neededBetween('$1', '$2', '$3')} AS needed`, [
      model,
      from,
      before,
    ])
    return row?.needed
  }

  // As the picture in needed.ts has it.
  await versions('s', [5, 7, 9], [9])
  await versions('g', [40, 43, 45, 50], [50])
  await versions('h', [7, 8], [8])
  for (const [model, version] of [
    ['s', 5],
    ['g', 40],
    ['g', 50],
    ['h', 7],
  ] as const)
    await archive(model, version)
  await published('g', 43, ['s', 7])
  await published('h', 8, ['g', 45])
  expect(await isNeeded('g', 40, 50)).toBe(true)
  expect(await isNeeded('s', 5, 9)).toBe(true)
  expect(await isNeeded('s', 5, 7)).toBe(false)
  expect(await isNeeded('g', 46, 50)).toBe(false)
  expect(await isNeeded('g', 50, null)).toBe(true)

  // Damaged archives hold nothing.
  await archive('h', 8, 'DAMAGED')
  expect(await isNeeded('s', 5, 9)).toBe(true)
  const [next] = await db.query(`SELECT ${nextArchive('$1', '$2::integer')} AS version`, ['h', 8])
  expect(next).toEqual({ version: null })
  await db.query(`UPDATE archive SET state = 'THERE' WHERE model = 'h' AND version = 8`)
  expect(await isNeeded('s', 5, 9)).toBe(false)
  expect(await isNeeded('g', 40, 50)).toBe(false)
})
