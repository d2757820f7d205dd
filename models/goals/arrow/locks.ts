import type { FrameFunctionContext, Row } from 'teatree'
import { recordRun } from './runs.ts'

/** Locks or unlocks the cells that `where` selects. */
export async function lockGoals(context: FrameFunctionContext<{ where: unknown; locked: boolean }>): Promise<Row> {
  const { args, pl, rows, step } = context
  const selected = context.where('goals', args.where)
  const [row] = await rows(selected.select(pl.len().alias('cells')))
  const cells = String(row?.cells)
  const locked = pl.lit(args.locked).alias('locked')
  await step('lock', () =>
    context.upsert('goals', selected.filter(pl.col('locked').neq(pl.lit(args.locked))).withColumns(locked)),
  )
  await recordRun(context, { cells })
  return { cells }
}
