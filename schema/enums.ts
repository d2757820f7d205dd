import type { Builder } from './builder.ts'

export type Enums = ReturnType<typeof addEnums>

/** The platform's own enums. */
export function addEnums(builder: Builder) {
  return {
    engine: builder.enumType('Engine', {
      description: 'What holds a model and computes on it.',
      values: {
        DUCKDB: { description: 'A DuckDB file.' },
        ARROW: { description: 'A directory of Apache Arrow files, computed on with Polars.' },
      },
    }),
    podSize: builder.enumType('PodSize', {
      description: "The type of pod that a model's manager runs on.",
      values: {
        SMALL: { description: '2 vCPU, 2 GiB' },
        MEDIUM: { description: '4 vCPU, 4 GiB' },
        LARGE: { description: '8 vCPU, 16 GiB' },
        XLARGE: { description: '16 vCPU, 64 GiB' },
      },
    }),
    managerState: builder.enumType('ManagerState', {
      description: "What a model's manager is at.",
      values: {
        IDLE: { description: 'There is no manager, and nothing to do.' },
        STARTING: { description: 'There is work, and no manager yet.' },
        RUNNING: { description: 'A manager holds the model.' },
        BLOCKED: { description: 'The surroundings keep it from working; it tries again.' },
      },
    }),
    fileFormat: builder.enumType('FileFormat', {
      description: 'The format of a downloaded table.',
      values: {
        PARQUET: { description: 'Apache Parquet.' },
        ARROW: { description: 'An Apache Arrow IPC stream.' },
        CSV: { description: 'Comma-separated, with a header; an empty field is null and "" the empty string.' },
        NDJSON: { description: 'One JSON object on each line.' },
      },
    }),
    contentForm: builder.enumType('ContentForm', {
      description: 'What a published file is.',
      values: {
        DUCKDB: { description: 'The snapshot of a model on DuckDB.' },
        PARQUET: { description: 'A table in the archive.' },
        ARROW: { description: 'A table of a snapshot on Arrow.' },
        RESULT: { description: 'The result of a query run.' },
      },
    }),
    intentStatus: builder.enumType('IntentStatus', {
      description: 'What became of an intent so far.',
      values: {
        QUEUED: { description: "It waits in the model's line." },
        RUNNING: { description: 'The manager has taken it.' },
        PUBLISHED: { description: 'Applied, and in a published version.' },
        FAILED: {
          description:
            'Refused by the function or the data; the model is as if it had never been sent. The line goes on.',
        },
        CANCELLED: { description: 'Taken back before it started, or its model was deleted.' },
        PARKED: { description: 'It took its manager down too often: set aside for a person, and the line goes on.' },
      },
    }),
    queryState: builder.enumType('QueryState', {
      description: 'What became of a query run so far.',
      values: {
        QUEUED: { description: 'It waits to be run.' },
        RUNNING: { description: 'It runs.' },
        DONE: { description: 'Its result is there.' },
        FAILED: { description: 'It ended with an error.' },
        CANCELLED: { description: 'Somebody ended it.' },
      },
    }),
    importMode: builder.enumType('ImportMode', {
      description: 'What an import does with rows that are there.',
      values: {
        APPEND: { description: 'Adds rows; a key that is there already fails it with KEY_CONFLICT.' },
        UPSERT: { description: 'Adds rows, and replaces those of the same key.' },
        REPLACE: { description: 'Empties the table first.' },
      },
    }),
    importFormat: builder.enumType('ImportFormat', {
      description: 'The format of an uploaded file, told from its content.',
      values: {
        PARQUET: { description: 'Apache Parquet.' },
        CSV: { description: 'Separated values with a header, in UTF-8.' },
        NDJSON: { description: 'One JSON object on each line.' },
        ARROW: { description: 'Apache Arrow IPC, file or stream.' },
      },
    }),
    direction: builder.enumType('OrderDirection', {
      description: 'Which way an order goes.',
      values: { ASC: { description: 'The smallest first.' }, DESC: { description: 'The largest first.' } },
    }),
    nulls: builder.enumType('NullsOrder', {
      description: 'Where an order puts nulls, whichever way it goes.',
      values: { FIRST: { description: 'Before all values.' }, LAST: { description: 'After all values.' } },
    }),
    measure: builder.enumType('Measure', {
      description: 'What groups are ordered and selected by.',
      values: {
        GROUP: { description: 'The value of a column that is grouped by.' },
        COUNT: { description: 'How many rows; takes no column.' },
        SUM: { description: 'The sum of a column.' },
        AVG: { description: 'The mean of a column.' },
        MIN: { description: 'The smallest value of a column.' },
        MAX: { description: 'The largest value of a column.' },
        COUNT_DISTINCT: { description: 'How many different values a column has, null not counted.' },
      },
    }),
    bucket: builder.enumType('DateBucket', {
      description: 'The stretch of time that a date is put into.',
      values: {
        DAY: { description: 'A day.' },
        WEEK: { description: 'A week, which begins on Monday.' },
        MONTH: { description: 'A month of the calendar.' },
        QUARTER: { description: 'Three months, from the first of January, April, July or October.' },
        YEAR: { description: 'A year of the calendar.' },
      },
    }),
    diffChange: builder.enumType('DiffChange', {
      description: 'What became of a row between two versions.',
      values: {
        ADDED: { description: 'It is in the newer version alone.' },
        REMOVED: { description: 'It is in the older version alone.' },
        CHANGED: { description: 'It is in both, with other values.' },
      },
    }),
  }
}
