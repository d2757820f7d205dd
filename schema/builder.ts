import SchemaBuilder, { type ArgBuilder } from '@pothos/core'
import type { IntentFilter } from '../src/jobs/ledger.ts'
import type { ManagerState, ModelChange, ModelFilter, NewModel } from '../src/jobs/models.ts'
import type { Content, Intent, IntentError, Model, QueryRun } from '../src/jobs/records.ts'
import type { Kind } from '../src/kinds/kind.ts'
import type { CellError } from '../src/platform/errors.ts'
import type { OperationContext } from '../src/resolvers/context.ts'
import type * as shapes from './shapes.ts'

/** The GraphQL types that every schema has, by name, with what a resolver hands them. */
interface Shapes {
  Context: OperationContext
  DefaultFieldNullability: false
  Scalars: {
    ID: { Input: string; Output: string }
    Date: { Input: string; Output: string }
    DateTime: { Input: string; Output: string }
    Decimal: { Input: string; Output: string }
    BigInt: { Input: string; Output: string | number | bigint }
    JSON: { Input: unknown; Output: unknown }
  }
  Objects: {
    Kind: Kind
    TableDefinition: shapes.TableDefinition
    ColumnDefinition: shapes.ColumnDefinition
    FunctionDefinition: shapes.FunctionDefinition
    ManagerStatus: ManagerState
    TableState: shapes.TableState
    SqlResult: shapes.SqlResult
    Content: Content
    Upload: shapes.UploadSource
    Intent: Intent
    ModelVersion: { model: string; version: number }
    RowsWritten: shapes.Outcome
    IntentError: IntentError
    CellError: CellError
    QueryRun: QueryRun
    CompletionPage: shapes.CompletionEvent
    CompletionEdge: shapes.Edge<Intent | QueryRun>
    PageInfo: shapes.PageInfo
  }
  Interfaces: { Model: Model; Snapshot: shapes.SnapshotSource }
  Inputs: {
    ModelWhere: ModelFilter
    IntentWhere: IntentFilter
    SnapshotAt: shapes.SnapshotAtInput
    SnapshotRef: NonNullable<NewModel['from']>
    CreateModelInput: NewModel
    UpdateModelInput: ModelChange
  }
}

export type Types = PothosSchemaTypes.ExtendDefaultTypes<Shapes>
export type Builder = PothosSchemaTypes.SchemaBuilder<Types>
/** Makes arguments of a field: `t.arg`. */
export type ArgumentBuilder = ArgBuilder<Types>
export type ArgumentRef = PothosSchemaTypes.ArgumentRef<Types, unknown>
/** Makes fields of an input. */
export type InputFields = PothosSchemaTypes.InputFieldBuilder<Types, 'InputObject'>
/** An input whose shape is known at run time alone. */
export type InputRef = PothosSchemaTypes.InputObjectRef<Types, unknown>
export type ObjectRef<T> = PothosSchemaTypes.ObjectRef<Types, T>

export const createBuilder = (): Builder => new SchemaBuilder<Shapes>({ defaultFieldNullability: false })
