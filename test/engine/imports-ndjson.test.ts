import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { JsonError, JsonLineScanner } from '../../src/engine/duckdb/imports/json-line.ts'
import { ImportModel, refused } from './import-model.ts'

let model: ImportModel
beforeAll(async () => {
  model = await ImportModel.open()
})
afterAll(() => model[Symbol.asyncDispose]())

const ndjson = (content: string | Uint8Array, columns?: Record<string, string>, table = 'parcels') =>
  model.file(table, { format: 'NDJSON', content, mode: 'REPLACE', ...(columns ? { columns } : {}) })
const fault = async (content: string | Uint8Array) => {
  const { code, message } = await refused(ndjson(content))
  return `${code} ${message}`
}

describe('what NDJSON says', () => {
  test('numbers are taken from their text', async () => {
    await ndjson(
      '{"parcelId":9223372036854775807,"tracking":"-9223372036854775808","exact":12345678901234567890.1234567891,"price":1.10,"weight":0.1}\n' +
        '{"parcelId":1,"pieces":12e2,"price":-1.5e-3,"exact":100e-2,"weight":1e22,"label":1.10}\n' +
        '{"parcelId":2,"pieces":1.0,"label":12345678901234567890.1234567890,"weight":-0.0}\n',
    )
    const empty = { label: null, tracking: null, fragile: null, sentOn: null, seenAt: null }
    expect(await model.rows('parcels')).toEqual([
      { ...empty, parcelId: '1', label: '1.10', pieces: 1200, price: '-0.0015', exact: '1.0000000000', weight: 1e22 },
      {
        ...empty,
        parcelId: '2',
        label: '12345678901234567890.1234567890',
        pieces: 1,
        price: null,
        exact: null,
        weight: 0,
      },
      {
        ...empty,
        parcelId: '9223372036854775807',
        pieces: null,
        tracking: '-9223372036854775808',
        price: '1.1000',
        exact: '12345678901234567890.1234567891',
        weight: 0.1,
      },
    ])
  })

  test('missing keys and null are null, "" is the empty string, blank lines are skipped, keys come in any order', async () => {
    const content =
      '\ufeff{"code":"A","name":"","note":null}\r\n\n   \n{ "note" : "x,\\"y\\"\\n\\u00e9\\ud83d\\ude00" ,\t"name":"b","code":"B"}\n{"n\\u0061me":"c","code":"C"}'
    await ndjson(content, undefined, 'depots')
    expect(await model.rows('depots')).toEqual([
      { code: 'A', name: '', note: null },
      { code: 'B', name: 'b', note: 'x,"y"\né😀' },
      { code: 'C', name: 'c', note: null },
    ])
  })

  test('keys that a mapping does not name stay unused, whatever they hold', async () => {
    const content = '{"id":1,"x":{"a":[1,{"b":null}]},"text":true}\n{"y":[],"text":"b","id":"2"}\n'
    await ndjson(content, { parcelId: 'id', label: 'text' })
    expect(await model.rows('parcels')).toMatchObject([
      { parcelId: '1', label: 'true' },
      { parcelId: '2', label: 'b' },
    ])
  })

  test('no line at all is no row', async () => {
    expect(await ndjson('\n\n')).toMatchObject({ inserted: 0 })
  })
})

describe('what is refused', () => {
  test('objects and lists are no values, and are found beside the other cells at fault', async () => {
    const { code, cells, details } = await refused(
      ndjson('{"parcelId":1}\n\n{"parcelId":2,"label":{"a":1},"price":"x"}\n{"parcelId":[3],"label":[]}\n'),
    )
    expect(code).toBe('BAD_VALUE')
    expect(details).toEqual({ badCells: 4 })
    expect(cells.map(({ row, line, column, message }) => [row, line, column, message.split(' is no')[0]])).toEqual([
      [2, 3, 'label', 'an object or a list'],
      [2, 3, 'price', '"x"'],
      [3, 4, 'parcelId', 'an object or a list'],
      [3, 4, 'label', 'an object or a list'],
    ])
  })

  test('lines that are no JSON object', async () => {
    expect(await fault('{"parcelId":1}\n\n{"parcelId":2\n')).toBe('BAD_FILE line 3: it is no valid JSON')
    expect(await fault('{"parcelId":1}\n[1]\n')).toBe('BAD_FILE line 2: it is no JSON object')
    expect(await fault('{"parcelId":1} {"parcelId":2}\n')).toBe('BAD_FILE line 1: there is more behind the JSON object')
    expect(await fault('{"parcelId":1,"label":"a\tb"}')).toMatch(/^BAD_FILE line 1: a string in it is not closed/)
    expect(await fault('{"parcelId":1,"label":"\\ud800"}')).toMatch(/^BAD_FILE line 1: .*surrogate/)
    expect(await fault('{"parcelId":1,"label":"\\u0000"}')).toMatch(/^BAD_FILE line 1: .*U\+0000/)
    expect(await fault(`{"parcelId":${'['.repeat(1000)}`)).toMatch(/^BAD_FILE line 1: it is nested/)
    expect(await fault(Buffer.from('{"parcelId":1}\n{"parcelId":2,"label":"\xff"}\n', 'latin1'))).toMatch(
      /^BAD_FILE line 2: the bytes are no UTF-8/,
    )
  })

  test('a key that is there twice', async () => {
    expect(await fault('{"parcelId":1,"label":"a"}\n{"parcelId":2,"label":null,"l\\u0061bel":"b"}\n')).toBe(
      'BAD_FILE line 2: the key "label" is there twice',
    )
  })

  test('keys that the table does not know, and keys of the mapping that no line has', async () => {
    expect(await fault('{"parcelId":1,"weigth":1}\n')).toMatch(
      /^BAD_VALUE column "weigth": the table parcels has no such column/,
    )
    const missing = await refused(ndjson('{"id":1}\n', { parcelId: 'id', label: 'text' }))
    expect(missing.cells).toEqual([
      { column: 'label', message: 'there is no column "text" to fill it from, only "id"' },
    ])
  })

  test('a line longer than 16 MiB', async () => {
    expect(await fault(`{"parcelId":1}\n{"parcelId":2,"label":"${'x'.repeat(17 * 1024 * 1024)}"}\n`)).toBe(
      'BAD_FILE line 2: it is longer than 16 MiB',
    )
  })
})

describe('the scanner', () => {
  const isValid = (line: string): boolean => {
    const bytes = Buffer.from(line)
    try {
      return new JsonLineScanner(['a'], () => {}).scan(bytes, 0, bytes.length)
    } catch (error) {
      if (error instanceof JsonError) return false
      throw error
    }
  }
  /** As JSON.parse sees it, but for a wanted key that is there twice. */
  const parses = (line: string): boolean => {
    try {
      const value: unknown = JSON.parse(line)
      return typeof value === 'object' && value !== null && !Array.isArray(value)
    } catch {
      return false
    }
  }

  test('takes what JSON.parse takes, and nothing else', () => {
    const value = fc.dictionary(
      fc.string().filter(key => key !== 'a'),
      fc.jsonValue({ noUnicodeString: false }),
    )
    const edit = fc.tuple(fc.nat(), fc.nat(2), fc.constantFrom(...'{}[]":,\\/ \t01-+.eEutfn\u00e9\u0001'))
    fc.assert(
      fc.property(value, fc.array(edit, { maxLength: 3 }), (object, edits) => {
        let line = JSON.stringify(object)
        for (const [at, drop, put] of edits) {
          const place = at % (line.length + 1)
          line = line.slice(0, place) + put + line.slice(place + drop)
        }
        expect([line, isValid(line)]).toEqual([line, parses(line)])
      }),
      { numRuns: 3000 },
    )
  })

  test.each([
    '01',
    '1.',
    '.5',
    '+1',
    '1e',
    '1e+',
    '-',
    '0x1',
    'NaN',
    'Infinity',
    'tru',
    'nul',
    "'a'",
    '"\\x"',
    '"\\u12"',
  ])('refuses %s', text => expect([isValid(`{"b":${text}}`), parses(`{"b":${text}}`)]).toEqual([false, false]))
})
