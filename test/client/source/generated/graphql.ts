/* eslint-disable */
/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { DocumentTypeDecoration } from '@graphql-typed-document-node/core';
/** What a published file is. */
export type ContentForm =
  /** A table of a snapshot on Arrow. */
  | 'ARROW'
  /** The snapshot of a model on DuckDB. */
  | 'DUCKDB'
  /** A table in the archive. */
  | 'PARQUET'
  /** The result of a query run. */
  | 'RESULT';

/** What became of a row between two versions. */
export type DiffChange =
  /** It is in the newer version alone. */
  | 'ADDED'
  /** It is in both, with other values. */
  | 'CHANGED'
  /** It is in the older version alone. */
  | 'REMOVED';

/** What goals can be divided by. */
export type GoalDimension =
  /** By customerId. */
  | 'CUSTOMER'
  /** By productId. */
  | 'PRODUCT'
  /** By salespersonId; sales of nobody in person are a part of their own. */
  | 'SALESPERSON'
  /** By siteId. */
  | 'SITE';

/** What became of an intent so far. */
export type IntentStatus =
  /** Taken back before it started, or its model was deleted. */
  | 'CANCELLED'
  /** Refused by the function or the data; the model is as if it had never been sent. The line goes on. */
  | 'FAILED'
  /** It took its manager down too often: set aside for a person, and the line goes on. */
  | 'PARKED'
  /** Applied, and in a published version. */
  | 'PUBLISHED'
  /** It waits in the model's line. */
  | 'QUEUED'
  /** The manager has taken it. */
  | 'RUNNING';

/** What a model's manager is at. */
export type ManagerState =
  /** The surroundings keep it from working; it tries again. */
  | 'BLOCKED'
  /** There is no manager, and nothing to do. */
  | 'IDLE'
  /** A manager holds the model. */
  | 'RUNNING'
  /** There is work, and no manager yet. */
  | 'STARTING';

/** What became of a query run so far. */
export type QueryState =
  /** Somebody ended it. */
  | 'CANCELLED'
  /** Its result is there. */
  | 'DONE'
  /** It ended with an error. */
  | 'FAILED'
  /** It waits to be run. */
  | 'QUEUED'
  /** It runs. */
  | 'RUNNING';

/** A whole row of sales. One line of an order: so much of one product, sold on one day. */
export type SaleInput = {
  /** For how much, in all; negative for what came back. */
  amount: string | number;
  /** Who bought. */
  customerId: string;
  /** The day that it counts for. */
  date: string;
  /** Its number within the order. */
  line: number;
  /** The order that the line belongs to. */
  orderId: string;
  /** What was sold. */
  productId: string;
  /** How much was sold; negative for what came back. */
  quantity: string | number;
  /** Who sold; null where nobody in person did. */
  salespersonId?: string | null | undefined;
  /** Where it was sold. */
  siteId: string;
};

/** Which version of a model. */
export type SnapshotAt =
  {   /** The version that was the newest at this instant. */
  asOf: string; atLeast?: never; intent?: never; version?: never; }
  |  { asOf?: never;   /** The newest, once it has reached this version. */
  atLeast: number; intent?: never; version?: never; }
  |  { asOf?: never; atLeast?: never;   /** Read your own write: the oldest kept version that holds this intent; the newest, where it ended without effect. */
  intent: string | number; version?: never; }
  |  { asOf?: never; atLeast?: never; intent?: never;   /** Exactly this version; SNAPSHOT_GONE where it is no longer kept. */
  version: number; };

export type ModelsQueryVariables = Exact<{ [key: string]: never; }>;


export type ModelsQuery = { kinds: Array<{ name: string, description: string | null, tables: Array<{ name: string }>, functions: Array<{ name: string }> }>, models: { totalCount: number, nodes: Array<
      | { id: string, name: string, version: number, kind: { name: string }, manager: { state: ManagerState, queued: number } }
      | { id: string, name: string, version: number, kind: { name: string }, manager: { state: ManagerState, queued: number } }
    > } | null };

export type LiveSubscriptionVariables = Exact<{ [key: string]: never; }>;


export type LiveSubscription = { modelChanges: Array<
    | { id: string, name: string, version: number, manager: { state: ManagerState, queued: number, archiveLag: number } }
    | { id: string, name: string, version: number, manager: { state: ManagerState, queued: number, archiveLag: number } }
  > };

export type SalesQueryVariables = Exact<{
  model?: string | number;
  at?: SnapshotAt | null | undefined;
  after?: string | null | undefined;
  from?: string;
}>;


export type SalesQuery = { salesModel: { snapshot: { version: number, sales: { totalCount: string, nodes: Array<{ orderId: string, line: number, date: string, amount: string, site: { name: string, country: string | null } | null, product: { name: string } | null, salesperson: { name: string } | null }>, pageInfo: { endCursor: string | null, hasNextPage: boolean } } | null } | null } | null };

export type SalesOfACountryQueryVariables = Exact<{
  model?: string | number;
  countries?: Array<string> | string;
  before?: string | null | undefined;
  site?: string;
}>;


export type SalesOfACountryQuery = { salesModel: { snapshot: { site: { siteId: string, name: string, region: string | null, country: string | null } | null, sales: { edges: Array<{ cursor: string, node: { orderId: string, line: number, amount: string, site: { name: string, country: string | null } | null } }>, pageInfo: { startCursor: string | null, hasPreviousPage: boolean } } | null } | null } | null };

export type SalesByMonthQueryVariables = Exact<{
  model?: string | number;
  above?: string | number;
}>;


export type SalesByMonthQuery = { salesModel: { snapshot: { salesAggregate: { totalCount: string, nodes: Array<{ count: string, group: { date: string | null, site: { name: string } | null }, sum: { amount: string | null, quantity: string | null } | null, avg: { amount: number | null } | null, max: { amount: string | null, date: string | null } | null, countDistinct: { customerId: string | null } | null }>, pageInfo: { endCursor: string | null, hasNextPage: boolean } } | null } | null } | null };

export type AttainmentQueryVariables = Exact<{
  model?: string | number;
  by?: Array<GoalDimension> | GoalDimension | null | undefined;
}>;


export type AttainmentQuery = { goalsModel: { version: number, snapshot: { attainment: { salesVersion: number | null, totalCount: string, nodes: Array<{ period: string | null, siteId: string | null, goalAmount: string, actualAmount: string, ratio: number | null }>, pageInfo: { endCursor: string | null, hasNextPage: boolean } } | null } | null } | null };

export type MovedGoalsQueryVariables = Exact<{
  model?: string | number;
  since?: SnapshotAt;
}>;


export type MovedGoalsQuery = { goalsModel: { snapshots: { nodes: Array<
        | { version: number, publishedAt: string, labels: Array<string> }
        | { version: number, publishedAt: string, labels: Array<string> }
      > } | null, snapshot: { goalsDiff: { nodes: Array<{ change: DiffChange, before: { period: string, siteId: string | null, goalAmount: string } | null, after: { period: string, siteId: string | null, goalAmount: string, locked: boolean } | null }>, pageInfo: { endCursor: string | null, hasNextPage: boolean } } | null } | null } | null };

export type FollowSubscriptionVariables = Exact<{
  model?: string | number;
  after?: string | null | undefined;
}>;


export type FollowSubscription = { completions: { cursor: string, reset: boolean, edges: Array<{ node:
        | { function: string, status: IntentStatus, version: number | null, error: { code: string, message: string } | null }
        | { id: string, state: QueryState }
       }>, snapshot:
      | { version: number, attainment: { nodes: Array<{ goalAmount: string, actualAmount: string, ratio: number | null }> } | null }
      | { version: number }
     | null } };

export type AppendSalesMutationVariables = Exact<{
  model?: string | number;
  rows?: Array<SaleInput> | SaleInput;
  key?: string | null | undefined;
}>;


export type AppendSalesMutation = { appendSales: { seq: string, status: IntentStatus, version: number | null, outcome:
      | { table: string, inserted: string }
      | Record<PropertyKey, never>
     | null, error: { code: string, message: string, cells: Array<{ row: string | null, column: string | null, message: string }> } | null } | null };

export type FilesQueryVariables = Exact<{
  model?: string | number;
}>;


export type FilesQuery = { model:
    | { snapshot: { version: number, tables: Array<{ name: string, rows: string, parquet: string, csv: string, columns: Array<{ name: string, type: string, nullable: boolean, description: string | null }> }>, content: Array<{ form: ContentForm, table: string | null, bytes: string, sha256: string, url: string | null }> | null } | null }
    | { snapshot: { version: number, tables: Array<{ name: string, rows: string, parquet: string, csv: string, columns: Array<{ name: string, type: string, nullable: boolean, description: string | null }> }>, content: Array<{ form: ContentForm, table: string | null, bytes: string, sha256: string, url: string | null }> | null } | null }
   | null };

export class TypedDocumentString<TResult, TVariables>
  extends String
  implements DocumentTypeDecoration<TResult, TVariables>
{
  __apiType?: NonNullable<DocumentTypeDecoration<TResult, TVariables>['__apiType']>;
  private value: string;
  public __meta__?: Record<string, any> | undefined;

  constructor(value: string, __meta__?: Record<string, any> | undefined) {
    super(value);
    this.value = value;
    this.__meta__ = __meta__;
  }

  override toString(): string & DocumentTypeDecoration<TResult, TVariables> {
    return this.value;
  }
}

export const ModelsDocument = new TypedDocumentString(`
    query Models {
  kinds {
    name
    description
    tables {
      name
    }
    functions {
      name
    }
  }
  models(first: 20) {
    totalCount
    nodes {
      id
      name
      kind {
        name
      }
      version
      manager {
        state
        queued
      }
    }
  }
}
    `) as unknown as TypedDocumentString<ModelsQuery, ModelsQueryVariables>;
export const LiveDocument = new TypedDocumentString(`
    subscription Live {
  modelChanges {
    id
    name
    version
    manager {
      state
      queued
      archiveLag
    }
  }
}
    `) as unknown as TypedDocumentString<LiveSubscription, LiveSubscriptionVariables>;
export const SalesDocument = new TypedDocumentString(`
    query Sales($model: ID! = "demo-sales", $at: SnapshotAt, $after: String, $from: Date! = "2013-01-01") {
  salesModel(id: $model) {
    snapshot(at: $at) {
      version
      sales(
        where: {
          date: { gte: $from }
          or: [{ amount: { gte: "10" } }, { salespersonId: { isNull: false } }]
        }
        orderBy: [
          { column: date, direction: DESC }
          { column: amount, direction: DESC, nulls: LAST }
        ]
        first: 20
        after: $after
      ) {
        totalCount
        nodes {
          orderId
          line
          date
          amount
          site {
            name
            country
          }
          product {
            name
          }
          salesperson {
            name
          }
        }
        pageInfo {
          endCursor
          hasNextPage
        }
      }
    }
  }
}
    `) as unknown as TypedDocumentString<SalesQuery, SalesQueryVariables>;
export const SalesOfACountryDocument = new TypedDocumentString(`
    query SalesOfACountry($model: ID! = "demo-sales", $countries: [String!]! = ["Germany", "France"], $before: String, $site: String! = "S01") {
  salesModel(id: $model) {
    snapshot {
      site(siteId: $site) {
        siteId
        name
        region
        country
      }
      sales(
        where: { site: { country: { in: $countries } } }
        last: 10
        before: $before
      ) {
        edges {
          cursor
          node {
            orderId
            line
            amount
            site {
              name
              country
            }
          }
        }
        pageInfo {
          startCursor
          hasPreviousPage
        }
      }
    }
  }
}
    `) as unknown as TypedDocumentString<SalesOfACountryQuery, SalesOfACountryQueryVariables>;
export const SalesByMonthDocument = new TypedDocumentString(`
    query SalesByMonth($model: ID! = "demo-sales", $above: Decimal! = "100") {
  salesModel(id: $model) {
    snapshot {
      salesAggregate(
        groupBy: [{ column: date, bucket: MONTH }, { column: siteId }]
        having: [{ measure: SUM, column: amount, is: { gt: $above } }]
        orderBy: [{ measure: SUM, column: amount, direction: DESC }]
        first: 24
      ) {
        totalCount
        nodes {
          group {
            date
            site {
              name
            }
          }
          count
          sum {
            amount
            quantity
          }
          avg {
            amount
          }
          max {
            amount
            date
          }
          countDistinct {
            customerId
          }
        }
        pageInfo {
          endCursor
          hasNextPage
        }
      }
    }
  }
}
    `) as unknown as TypedDocumentString<SalesByMonthQuery, SalesByMonthQueryVariables>;
export const AttainmentDocument = new TypedDocumentString(`
    query Attainment($model: ID! = "demo-goals", $by: [GoalDimension!] = [SITE]) {
  goalsModel(id: $model) {
    version
    snapshot {
      attainment(by: $by, interval: MONTH, first: 100) {
        salesVersion
        totalCount
        nodes {
          period
          siteId
          goalAmount
          actualAmount
          ratio
        }
        pageInfo {
          endCursor
          hasNextPage
        }
      }
    }
  }
}
    `) as unknown as TypedDocumentString<AttainmentQuery, AttainmentQueryVariables>;
export const MovedGoalsDocument = new TypedDocumentString(`
    query MovedGoals($model: ID! = "demo-goals", $since: SnapshotAt! = { atLeast: 0 }) {
  goalsModel(id: $model) {
    snapshots(first: 10) {
      nodes {
        version
        publishedAt
        labels
      }
    }
    snapshot {
      goalsDiff(from: $since, first: 50) {
        nodes {
          change
          before {
            period
            siteId
            goalAmount
          }
          after {
            period
            siteId
            goalAmount
            locked
          }
        }
        pageInfo {
          endCursor
          hasNextPage
        }
      }
    }
  }
}
    `) as unknown as TypedDocumentString<MovedGoalsQuery, MovedGoalsQueryVariables>;
export const FollowDocument = new TypedDocumentString(`
    subscription Follow($model: ID! = "demo-goals", $after: String) {
  completions(model: $model, after: $after) {
    cursor
    reset
    edges {
      node {
        ... on Intent {
          function
          status
          version
          error {
            code
            message
          }
        }
        ... on QueryRun {
          id
          state
        }
      }
    }
    snapshot {
      version
      ... on GoalsSnapshot {
        attainment(first: 5) {
          nodes {
            goalAmount
            actualAmount
            ratio
          }
        }
      }
    }
  }
}
    `) as unknown as TypedDocumentString<FollowSubscription, FollowSubscriptionVariables>;
export const AppendSalesDocument = new TypedDocumentString(`
    mutation AppendSales(
$model: ID! = "demo-sales"
$rows: [SaleInput!]! = [
  {
    orderId: "BY-HAND-1"
    line: 1
    date: "2024-05-17"
    siteId: "S01"
    productId: "T1"
    customerId: "C1"
    quantity: "2"
    amount: "19.90"
  }
]
$key: String = "by-hand-1"
) {
  appendSales(model: $model, rows: $rows, idempotencyKey: $key, waitMs: 10000) {
    seq
    status
    version
    outcome {
      ... on RowsWritten {
        table
        inserted
      }
    }
    error {
      code
      message
      cells {
        row
        column
        message
      }
    }
  }
}
    `) as unknown as TypedDocumentString<AppendSalesMutation, AppendSalesMutationVariables>;
export const FilesDocument = new TypedDocumentString(`
    query Files($model: ID! = "demo-sales") {
  model(id: $model) {
    snapshot {
      version
      tables {
        name
        rows
        columns {
          name
          type
          nullable
          description
        }
        parquet: url(format: PARQUET)
        csv: url(format: CSV)
      }
      content {
        form
        table
        bytes
        sha256
        url
      }
    }
  }
}
    `) as unknown as TypedDocumentString<FilesQuery, FilesQueryVariables>;