import { createReadStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import type { Uploads } from '../../src/jobs/uploads.ts'

/**
 * Uploads so many sales as a Parquet file; of a million the model is some 40 MB. Answers with the upload's id. Those that
 * begin differently are different orders.
 */
export async function uploadSales(uploads: Uploads, rows: number, begin = ''): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'teatree-bulk-'))
  const path = join(dir, 'sales.parquet')
  const instance = await DuckDBInstance.create(':memory:', { threads: '2' })
  const connection = await instance.connect()
  try {
    await connection.run(
      `COPY (SELECT md5('${begin}' || i) AS orderId, 1 AS line, DATE '2024-01-01' + (i % 365)::INTEGER AS date, 'S' || i % 9 AS siteId,
                    'T' || i % 97 AS productId, 'C' || i % 997 AS customerId, NULL::VARCHAR AS salespersonId,
                    (i % 13)::DECIMAL(18,4) AS quantity, (i * 0.37)::DECIMAL(18,4) AS amount FROM range(${rows}) AS t (i)) TO '${path}'`,
    )
    return (await uploads.receive(createReadStream(path), {})).id
  } finally {
    connection.closeSync()
    instance.closeSync()
    await rm(dir, { recursive: true })
  }
}
