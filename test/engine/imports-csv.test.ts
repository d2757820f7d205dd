import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ImportModel, refused } from './import-model.ts'

let model: ImportModel
beforeAll(async () => {
  model = await ImportModel.open()
})
afterAll(() => model[Symbol.asyncDispose]())

const csv = (content: string | Uint8Array, columns?: Record<string, string>) =>
  model.file('depots', { format: 'CSV', content, mode: 'REPLACE', ...(columns ? { columns } : {}) })

/** The depots that a file makes, as [code, name, note]. */
async function depots(content: string | Uint8Array): Promise<unknown[][]> {
  await csv(content)
  return (await model.rows('depots')).map(row => Object.values(row))
}
const badFile = async (content: string | Uint8Array) => {
  const { code, message, cells } = await refused(csv(content))
  expect(code).toBe('BAD_FILE')
  return { message, cells }
}

describe('what CSV says', () => {
  test('an empty field is null, "" the empty string, and spaces are kept', async () => {
    expect(await depots('code,name,note\nA,"",\nB, b ,""\nC,c," "\n"",x,\n')).toEqual([
      ['', 'x', null],
      ['A', '', null],
      ['B', ' b ', ''],
      ['C', 'c', ' '],
    ])
  })

  test('quotes, delimiters and new lines inside quotes', async () => {
    expect(await depots('code,name,note\nA,"say ""hi""","a,b"\nB,"1\n2\r\n3\r4",""""\n')).toEqual([
      ['A', 'say "hi"', 'a,b'],
      ['B', '1\n2\r\n3\r4', '"'],
    ])
  })

  test('quotes where no quoted field begins are text', async () => {
    expect(await depots('code,name,note\nA,5" pipe,"plain"\nB, "b",x""y\nC,c"d\n'.replace('c"d', 'c"d,'))).toEqual([
      ['A', '5" pipe', 'plain'],
      ['B', ' "b"', 'x""y'],
      ['C', 'c"d', null],
    ])
  })

  test.each(['\n', '\r\n', '\r'])('lines may end with %j', async end => {
    expect(await depots(['code,name,note', 'A,a,1', '', 'B,b,', 'C,c,3'].join(end))).toEqual([
      ['A', 'a', '1'],
      ['B', 'b', null],
      ['C', 'c', '3'],
    ])
  })

  test.each([
    [',', 'a;b|c'],
    [';', 'a,b|c'],
    ['\t', 'a,b;c'],
    ['|', 'a,b;c'],
  ])('the delimiter %j is told from the file', async (delimiter, name) => {
    const lines = [
      ['code', 'name', 'note'],
      ['A', name, '1,5'.includes(delimiter) ? '"1,5"' : '1,5'],
      ['B', `"x${delimiter}y"`, ''],
    ]
    expect(await depots(lines.map(line => line.join(delimiter)).join('\n'))).toEqual([
      ['A', name, '1,5'],
      ['B', `x${delimiter}y`, null],
    ])
  })

  test('a byte order mark, columns in another order, and no new line at the end', async () => {
    expect(await depots('\ufeffnote,code,name\n,Ä,é😀')).toEqual([['Ä', 'é😀', null]])
  })

  test('a byte order mark is left out before the header alone', async () => {
    await csv('\ufeffcode,name,note\n\ufeffA,"\ufeff",\n')
    expect(await model.sql.all('SELECT unicode(code) AS code, unicode(name) AS name FROM depots')).toEqual([
      { code: 0xfeff, name: 0xfeff },
    ])
  })

  test('a header alone has no rows, and an empty line is a null where there is one column', async () => {
    expect(await depots('code,name,note\n')).toEqual([])
    expect(await depots('code,name,note')).toEqual([])
    const wild = ' A,"",\n\tB,b\'s,"c""d"'
    expect(await depots(`code,name,note\n${wild}`)).toEqual([
      ['\tB', "b's", 'c"d'],
      [' A', '', null],
    ])
    await model.file('tags', { format: 'CSV', content: 'tag\na\n\n""\n', mode: 'REPLACE' })
    expect(await model.rows('tags')).toEqual([{ tag: '' }, { tag: 'a' }, { tag: null }])
    await model.file('tags', { format: 'CSV', content: 'tag\n""\n a\n\t\n""""\nb', mode: 'REPLACE' })
    expect((await model.rows('tags')).map(({ tag }) => tag)).toEqual(['', '\t', ' a', '"', 'b'])
  })

  test('what is longer than a buffer', async () => {
    const long = 'x'.repeat(1_000_000)
    const quotes = '""'.repeat(900_000)
    expect(
      await depots(`code,name,note\nA,${long},b\nB,"${quotes}",c\nC,${long}"${long}`.replace(/"x+$/, '"y,')),
    ).toEqual([
      ['A', long, 'b'],
      ['B', '"'.repeat(900_000), 'c'],
      ['C', `${long}"y`, null],
    ])
  })

  test('many records with new lines in them, none lost, each at its line', async () => {
    const count = 150_000
    const records = Array.from(
      { length: count },
      (_, n) => `k${n},"n${'\n'.repeat(n % 3)}",${n % 5 ? `"${n}\n,"` : ''}`,
    )
    expect(await csv(`code,name,note\n${records.join('\n')}`)).toEqual({ inserted: count, updated: 0, deleted: 3 })
    const [sum] = await model.sql.all(
      `SELECT count(*) AS n, sum(length(name)) AS names, count(note) AS notes, bool_and(note IS NULL OR note = code[2:] || chr(10) || ',') AS same FROM depots`,
    )
    expect(sum).toEqual({ n: `${count}`, names: `${count * 2}`, notes: `${count * 0.8}`, same: true })
    const error = await refused(csv(`code,name,note\n${records.join('\n')}\nlast,,\n`))
    const line = 2 + records.join('\n').split('\n').length
    expect(error.cells).toMatchObject([{ row: count + 1, line, column: 'name' }])
  })
})

describe('what is no CSV', () => {
  test('records of another width, each with its line', async () => {
    const { message, cells } = await badFile('code,name,note\nA,"a\nb",c\n\nB,b\nC,c,d,e\n')
    expect(message).toBe('line 5: it has 2 fields, and the header has 3, and more lines at fault')
    expect(cells).toEqual([
      { row: 2, line: 5, message: 'it has 2 fields, and the header has 3' },
      { row: 3, line: 6, message: 'it has 4 fields, and the header has 3' },
    ])
  })

  test('quotes that do not close, or close in the middle of a field', async () => {
    expect((await badFile('code,name,note\nA,a,\nB,"b,\nC,c,\n')).message).toBe(
      'line 3: a quoted field is not closed by the end of the file',
    )
    expect((await badFile('code,name,note\nA,"a"b,\n')).message).toMatch(/^line 2: after the closing quote/)
    expect((await badFile('"code,name,note\nA,a,\n')).message).toMatch(/^line 1: /)
  })

  test('bytes that are no UTF-8, and U+0000', async () => {
    const bytes = Buffer.from('code,name,note\nA,"x\ny",\nB,b\xff,\n', 'latin1')
    expect((await badFile(bytes)).cells).toMatchObject([{ line: 4 }])
    expect((await badFile('code,name,note\r\nA,a,\r\nB,b\0,\r\n')).cells).toMatchObject([{ line: 3 }])
    expect((await badFile(Buffer.from('code,n\xffme\n', 'latin1'))).cells).toMatchObject([{ line: 1 }])
  })

  test('no header, or one that names a column twice', async () => {
    for (const empty of ['', '\n\n', '\ufeff']) expect((await badFile(empty)).message).toMatch(/no header/)
    expect((await badFile('code,name,code\nA,a,b\n')).message).toBe('line 1: the header names the column "code" twice')
  })

  test('a record longer than 16 MiB', async () => {
    const long = Buffer.alloc(17 * 1024 * 1024, 'x')
    const content = Buffer.concat([Buffer.from('code,name,note\nA,a,\nB,"'), long, Buffer.from('",\n')])
    expect((await badFile(content)).message).toBe('line 3: a record that begins here is longer than 16 MiB')
  })
})

test('keys that conflict name the line', async () => {
  const error = await refused(csv('code,name,note\nA,"a\n\n",\nB,b,\nA,c,\n'))
  expect(error.code).toBe('KEY_CONFLICT')
  expect(error.cells).toMatchObject([{ row: 3, line: 6, column: 'code' }])
})

test('an abort stops it between steps', async () => {
  const abort = new AbortController()
  const steps: string[] = []
  const content = `code,name,note\n${'A,a,b\n'.repeat(500_000)}`
  const onStep = (step: string) => {
    steps.push(step)
    if (steps.length === 3) abort.abort(new Error('enough'))
  }
  await expect(model.file('depots', { format: 'CSV', content, onStep, signal: abort.signal })).rejects.toThrow('enough')
  expect(steps).toEqual(['read', 'read', 'read'])
})
