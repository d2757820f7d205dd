export class TypedDocumentString extends String {
    __apiType;
    value;
    __meta__;
    constructor(value, __meta__) {
        super(value);
        this.value = value;
        this.__meta__ = __meta__;
    }
    toString() {
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
    `);
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
    `);
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
    `);
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
    `);
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
    `);
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
    `);
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
    `);
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
    `);
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
    `);
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
    `);
