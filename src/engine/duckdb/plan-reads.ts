import type { PlanRead } from '../plan-reads.ts'
import { compileAggregate, compileGroupCount } from './aggregate-sql.ts'
import { compileByKeys, compileCount, compileRows } from './rows-sql.ts'
import type { Scope, Statement } from './statement.ts'

export function compileRead(scope: Scope, read: PlanRead): Statement {
  switch (read.is) {
    case 'rows':
      return compileRows(scope, read.plan)
    case 'rows by keys':
      return compileByKeys(scope, read.table, read.columns, read.keyColumns, read.keys)
    case 'count':
      return compileCount(scope, read.table, read.where)
    case 'groups':
      return compileAggregate(scope, read.plan)
    case 'count of groups':
      return compileGroupCount(scope, read.plan)
  }
}
