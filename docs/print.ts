import { writeFile } from 'node:fs/promises'
import { ERRORS } from '../src/platform/errors.ts'

/** docs/errors.md, from the one table of codes. */
export function errorsPage(): string {
  const rows = Object.entries(ERRORS).map(([code, { status, when }]) => `| \`${code}\` | ${status} | ${when} |`)
  return `# Errors

GraphQL errors carry \`extensions.code\`, HTTP errors \`{"error": {"code", "message"}}\` with the status below, and a failed
intent the same codes. A message says what was wrong and what would be right; errors of cells name row, line and column. A
kind's functions have codes of their own besides (status 422). Printed from the table in the code by \`npm run docs\`.

| code | status | when |
| --- | --- | --- |
${rows.join('\n')}
`
}

if (import.meta.main) await writeFile(new URL('errors.md', import.meta.url), errorsPage())
