import { expect, test } from 'vitest'
import { check } from '../faults/harness/checker/index.ts'
import { digestOf } from '../faults/harness/digest.ts'
import type { Call, Cancellation, History, LedgerRow, Operation, Read, Row, Told } from '../faults/harness/history.ts'

const site = (siteId: string, name: string): Row => ({ siteId, name, region: null, country: null })
const sale = (orderId: string, date: string, amount: string): Row => ({
  orderId,
  line: '1',
  date,
  siteId: 'A',
  productId: 'T',
  customerId: 'C',
  salespersonId: null,
  quantity: '1.0000',
  amount,
})

const APPEND: Operation = { is: 'append', table: 'sites', rows: [site('A', 'a'), site('B', 'b')] }
const SELL: Operation = { is: 'append', table: 'sales', rows: [sale('O', '2024-05-17', '10.0000')] }

/** What clients ask of the model `s`, in the order of seq from 1. */
const ASKED: readonly Operation[] = [
  APPEND,
  { is: 'upsert', table: 'sites', rows: [site('B', 'bb')] },
  // Its key is there.
  { is: 'append', table: 'sites', rows: [site('A', 'x')] },
  { is: 'update', table: 'sites', where: { siteId: 'A' }, set: { name: 'aa' } },
  SELL,
  // Taken back.
  { is: 'delete', table: 'sites', where: { siteId: 'A' } },
]
const SITES = [site('A', 'aa'), site('B', 'bb')]

type Part<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] }
type Changeable = Omit<Part<History>, 'end' | 'contents'> & {
  end: Part<History['end']>
  contents: Map<string, Record<string, readonly Row[]>>
}

/** A sound history: a sales model of two versions, and goals that were computed of the second. */
function sound(): Changeable {
  const calls = ASKED.map(
    (operation, index): Call => ({
      client: 'c',
      model: 's',
      tag: `t${index + 1}`,
      at: index * 10,
      until: index * 10 + 5,
      operation,
      outcome: 'ok',
      code: null,
      intent: { id: `i${index + 1}`, seq: index + 1 },
    }),
  )
  const input = { salesModel: 's', grain: ['SITE'], interval: 'YEAR', method: 'BASIS_AVERAGE', total: null } as const
  const compute: Operation = { is: 'computeGoals', input: { ...input, grain: ['SITE'] } }
  calls.push({
    ...(calls[0] as Call),
    model: 'g',
    tag: 'g1',
    at: 100,
    until: 110,
    operation: compute,
    intent: { id: 'gi1', seq: 1 },
  })
  const row = (seq: number, status: string, version: number | null, more: Partial<LedgerRow> = {}): LedgerRow => ({
    id: `i${seq}`,
    model: 's',
    seq,
    tag: `t${seq}`,
    function: 'f',
    status,
    version,
    code: status === 'FAILED' ? 'KEY_CONFLICT' : null,
    attempts: 1,
    solo: 0,
    reads: [],
    ...more,
  })
  const ledger = [
    row(1, 'PUBLISHED', 1),
    row(2, 'PUBLISHED', 1),
    row(3, 'FAILED', null),
    row(4, 'PUBLISHED', 2),
    row(5, 'PUBLISHED', 2),
    row(6, 'CANCELLED', null),
    row(1, 'PUBLISHED', 1, { id: 'gi1', model: 'g', tag: 'g1', reads: [{ model: 's', version: 2 }] }),
  ]
  const versions = [
    { model: 's', version: 0, epoch: 0, lastSeq: 0 },
    { model: 's', version: 1, epoch: 1, lastSeq: 3 },
    { model: 's', version: 2, epoch: 2, lastSeq: 5 },
    { model: 'g', version: 0, epoch: 0, lastSeq: 0 },
    { model: 'g', version: 1, epoch: 1, lastSeq: 1 },
  ]
  const contents = new Map<string, Record<string, readonly Row[]>>()
  const keep = (tables: Record<string, readonly Row[]>) => {
    contents.set(digestOf(tables), tables)
    return digestOf(tables)
  }
  const content = keep({ sites: SITES, sales: SELL.is === 'append' ? SELL.rows : [] })
  const place = { period: '2025-01-01', siteId: 'A', productId: null, customerId: null, salespersonId: null }
  const goals = keep({
    goals: [{ ...place, basisAmount: '10.0000', goalAmount: '10.00', locked: 'false' }],
    actuals: [],
    runs: [{ intentId: 'gi1', function: 'computeGoals', salesVersion: '2' }],
  })
  const read = (more: Partial<Read>): Read => ({
    client: 'r',
    model: 's',
    at: 60,
    until: 70,
    asked: { newest: true },
    version: 2,
    code: null,
    content,
    ...more,
  })
  const cancellation: Cancellation = { at: 52, until: 54, intent: 'i6', outcome: 'ok' }
  const entries = ledger.slice(0, 6).map(({ id, status, version }) => ({ id, status, version }))
  const page = (at: number, from: number, to: number, snapshot: number): Told => ({
    subscriber: 'x',
    model: 's',
    at,
    entries: entries.slice(from, to),
    snapshot,
    reset: false,
  })
  return {
    seed: 1,
    models: [
      { id: 's', kind: 'sales', engine: 'DUCKDB', reads: null },
      { id: 'g', kind: 'goals', engine: 'ARROW', reads: 's' },
    ],
    calls,
    cancellations: [cancellation],
    reads: [
      read({}),
      read({ at: 80, until: 90, asked: { intent: 'i4', seq: 4 } }),
      read({ at: 95, until: 99, pages: [2, 2] }),
      read({ model: 'g', at: 120, until: 130, version: 1, content: goals }),
    ],
    told: [page(30, 0, 3, 1), page(65, 3, 6, 2)],
    sights: [
      { at: 20, model: 's', epoch: 1, version: 1, lastSeq: 3 },
      { at: 40, model: 's', epoch: 2, version: 1, lastSeq: 3 },
      { at: 60, model: 's', epoch: 2, version: 2, lastSeq: 5 },
    ],
    files: [
      { at: 30, path: 's/1-1/a', sha256: 'x' },
      { at: 60, path: 's/1-1/a', sha256: 'x' },
    ],
    faults: [{ fault: 'kill a manager', at: 10, until: 20, broken: [], idle: null }],
    contents,
    end: {
      at: 100,
      ledger,
      versions,
      queryRuns: [
        { id: 'q1', model: 'g', state: 'DONE' },
        { id: 'q2', model: 'g', state: 'RUNNING' },
      ],
      log: [
        ...entries.map(({ id }, index) => ({ model: 's', position: index + 1, id })),
        { model: 'g', position: 1, id: 'gi1' },
        { model: 'g', position: 2, id: 'q1' },
      ],
      archives: [{ model: 's', version: 2, content }],
      listed: ['i3'],
      stuck: [],
      left: [],
    },
  }
}

test('a sound history has no violation', () => {
  expect(check(sound())).toEqual([])
})

const replace = <T>(list: T[], index: number, change: Partial<T>) => {
  list[index] = { ...(list[index] as T), ...change }
}

const broken: [string, number, (history: Changeable) => void][] = [
  ['an acknowledged intent that is not in the ledger', 1, ({ end }) => end.ledger.splice(5, 1)],
  [
    'an intent that is in the ledger twice',
    1,
    ({ end }) => end.ledger.push({ ...(end.ledger[4] as LedgerRow), id: 'i7', seq: 7 }),
  ],
  ['a refused intent that is in the ledger', 1, ({ calls }) => replace(calls, 2, { outcome: 'refused', intent: null })],
  ['an intent that nobody asked for', 1, ({ calls }) => calls.splice(2, 1)],
  ['an intent that was acknowledged as another', 1, ({ calls }) => replace(calls, 1, { intent: { id: 'i9', seq: 2 } })],
  [
    'an intent that was taken back and applied all the same',
    1,
    ({ end }) => replace(end.ledger, 5, { status: 'PUBLISHED', version: 2 }),
  ],
  ['an intent that was set aside for nothing', 1, ({ end }) => replace(end.ledger, 2, { status: 'PARKED' })],
  [
    'an intent that came to something else',
    2,
    ({ end }) => replace(end.ledger, 2, { status: 'PUBLISHED', version: 1 }),
  ],
  ['an intent that failed with another code', 2, ({ end }) => replace(end.ledger, 2, { code: 'BAD_VALUE' })],
  ['an intent in a version before its own', 2, ({ end }) => replace(end.ledger, 3, { version: 1 })],
  ['a gap of seq', 3, ({ end }) => replace(end.ledger, 5, { seq: 8 })],
  [
    'an intent that overtook one that was there before',
    3,
    ({ calls, end }) => {
      replace(calls, 0, { intent: { id: 'i1', seq: 2 } })
      replace(calls, 1, { intent: { id: 'i2', seq: 1 } })
      replace(end.ledger, 0, { seq: 2 })
      replace(end.ledger, 1, { seq: 1 })
    },
  ],
  ['a read at an intent that does not see it', 4, ({ reads }) => replace(reads, 1, { version: 1, content: null })],
  ['a read of a version that got another', 4, ({ reads }) => replace(reads, 1, { asked: { version: 1 } })],
  ['a newest version that goes back', 5, ({ reads }) => replace(reads, 2, { version: 1, content: null, pages: [1] })],
  [
    'a newest version that is older than what a subscriber was told',
    5,
    ({ told, reads }) => {
      replace(told, 1, { at: 59 })
      replace(reads, 0, { version: 1, content: null })
    },
  ],
  ['a version that is missing', 5, ({ end }) => end.versions.splice(1, 1)],
  [
    'a version that is there twice',
    5,
    ({ end }) => end.versions.splice(1, 0, { model: 's', version: 1, epoch: 1, lastSeq: 2 }),
  ],
  ['a model that went back', 5, ({ sights }) => replace(sights, 2, { version: 0 })],
  ['a version without a row of it', 6, ({ contents, reads }) => change(contents, reads, { sites: [SITES[0] as Row] })],
  [
    'a version with a row of it twice',
    6,
    ({ contents, reads }) => change(contents, reads, { sites: [...SITES, SITES[1] as Row] }),
  ],
  [
    'a version with an older row',
    6,
    ({ contents, reads }) => change(contents, reads, { sites: [SITES[0] as Row, site('B', 'b')] }),
  ],
  [
    'goals that are not those of their sales',
    6,
    ({ end }) => replace(end.ledger, 6, { reads: [{ model: 's', version: 1 }] }),
  ],
  [
    'an archive of another version',
    7,
    ({ contents, end }) => {
      const tables = { sites: [site('A', 'a'), site('B', 'bb')] }
      contents.set(digestOf(tables), tables)
      end.archives.push({ model: 's', version: 2, content: digestOf(tables) })
    },
  ],
  ['a file that has changed', 8, ({ files }) => replace(files, 1, { sha256: 'y' })],
  [
    'a file that was published before it was on disk',
    8,
    ({ faults }) => replace(faults, 0, { broken: [{ invariant: 8, what: 'not on disk' }] }),
  ],
  ['a version of an older epoch behind one of a newer', 9, ({ end }) => replace(end.versions, 1, { epoch: 3 })],
  ['a version of an epoch that had ended', 9, ({ end }) => replace(end.versions, 2, { epoch: 1 })],
  ['an end that is not in the log', 10, ({ end }) => end.log.splice(5, 1)],
  ['an end of a query run that is not in the log', 10, ({ end }) => end.log.pop()],
  ['an entry of an intent of another model', 10, ({ end }) => end.log.push({ model: 'g', position: 3, id: 'i1' })],
  ['an entry of nothing', 10, ({ end }) => end.log.push({ model: 'g', position: 3, id: 'x' })],
  ['an entry of what has not ended', 10, ({ end }) => end.log.push({ model: 'g', position: 3, id: 'q2' })],
  ['a subscriber who was left out', 10, ({ told }) => told.splice(1, 1)],
  ['a subscriber who was told in another order', 10, ({ told }) => told.reverse()],
  ['a subscriber who was told twice', 10, ({ told }) => told.push(told[1] as Told)],
  ['a notice before its version', 10, ({ told }) => replace(told, 1, { snapshot: 1 })],
  [
    'a notice of an intent that had not ended',
    10,
    ({ told }) => {
      const [page] = told
      if (page)
        replace(told, 0, { entries: page.entries.map(entry => ({ ...entry, status: 'RUNNING', version: null })) })
    },
  ],
  ['pages of several versions', 10, ({ reads }) => replace(reads, 2, { pages: [2, 1] })],
  ['an intent that failed, and that nobody finds', 11, ({ end }) => end.listed.pop()],
  ['an intent that is listed as failed and is not', 11, ({ end }) => end.listed.push('i1')],
  ['something that is left over', 12, ({ end }) => end.left.push('a process')],
  ['an intent that never ends', 13, ({ end }) => replace(end.ledger, 5, { status: 'RUNNING' })],
  ['something that does not go on by itself', 13, ({ end }) => end.stuck.push('health is red')],
]

function change(contents: Changeable['contents'], reads: Read[], tables: Record<string, readonly Row[]>) {
  contents.set(digestOf(tables), tables)
  replace(reads, 0, { content: digestOf(tables) })
}

test.each(broken)('%s is a violation of invariant %i', (_, invariant, breakIt) => {
  const history = sound()
  breakIt(history)
  const found = check(history)
  expect(found.map(violation => violation.invariant)).toContain(invariant)
  for (const { what } of found) expect(what).not.toBe('')
})
