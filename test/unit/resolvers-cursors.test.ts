import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Signatures } from '../../src/platform/signatures.ts'
import { Cursors } from '../../src/resolvers/cursors.ts'
import { pageOf, pageRequest } from '../../src/resolvers/pages.ts'

const cursors = new Cursors(new Signatures(Buffer.from('a key')))
const PARTS = [
  { type: 'VARCHAR', nullable: true },
  { type: 'DECIMAL(18,4)', nullable: false },
  { type: 'INTEGER', nullable: false },
] as const
const BAD = expect.objectContaining({ code: 'BAD_CURSOR' })

test('a cursor gives back the position that it was made of', () => {
  fc.assert(
    fc.property(fc.option(fc.string({ unit: 'grapheme' })), fc.maxSafeNat(), fc.integer(), (text, amount, line) => {
      const position = [text?.replaceAll('\0', '') ?? null, `${amount % 10 ** 14}.0000`, line | 0]
      expect(cursors.decode('sales', PARTS, cursors.encode('sales', position))).toEqual(position)
    }),
  )
})

test('a cursor of another order, a cut one and a changed one are bad', () => {
  const cursor = cursors.encode('sales by date', ['A', '1.0000', 1])
  expect(() => cursors.decode('sales by amount', PARTS, cursor)).toThrow(BAD)
  fc.assert(
    fc.property(fc.nat(cursor.length - 1), index => {
      const other = cursor[index] === 'x' ? 'y' : 'x'
      expect(() => cursors.decode('sales by date', PARTS, cursor.slice(0, index))).toThrow(BAD)
      const changed = cursor.slice(0, index) + other + cursor.slice(index + 1)
      expect(() => cursors.decode('sales by date', PARTS, changed)).toThrow(BAD)
    }),
  )
  for (const more of ['!', '=', ' ', '\n', 'A'])
    expect(() => cursors.decode('sales by date', PARTS, cursor + more)).toThrow(BAD)
})

test('a cursor that was made with another key is bad, whoever knows how they are made', () => {
  const forged = new Cursors(new Signatures(Buffer.from('another'))).encode('sales by date', ['A', '1.0000', 1])
  expect(() => cursors.decode('sales by date', PARTS, forged)).toThrow(BAD)
  const ours = new Cursors(new Signatures(Buffer.from('a key'))).encode('sales by date', ['A', '1.0000', 1])
  expect(cursors.decode('sales by date', PARTS, ours)).toEqual(['A', '1.0000', 1])
})

test('who has no key takes the cursors of those who have, of the same order alone, and is not taken by them', () => {
  const keyless = new Cursors(new Signatures(null))
  const signed = cursors.encode('sales by date', ['A', '1.0000', 1])
  expect(keyless.decode('sales by date', PARTS, signed)).toEqual(['A', '1.0000', 1])
  expect(() => keyless.decode('sales by amount', PARTS, signed)).toThrow(BAD)
  const unsigned = keyless.encode('sales by date', ['A', '1.0000', 1])
  expect(keyless.decode('sales by date', PARTS, unsigned)).toEqual(['A', '1.0000', 1])
  expect(() => cursors.decode('sales by date', PARTS, unsigned)).toThrow(BAD)
})

test('whatever text is no cursor', () => {
  fc.assert(
    fc.property(fc.string(), text => {
      expect(() => cursors.decode('sales', PARTS, text)).toThrow(BAD)
    }),
  )
})

test.each([
  [['A', '1.0000']],
  [['A', '1.0000', 1, 1]],
  [['A', '1.0', 1]],
  [['A', 1, 1]],
  [['A', null, 1]],
  [['A', '1.0000', 1.5]],
  [['A', '1.0000', { $gt: 1 }]],
  [{ 0: 'A' }],
])('a position that is none of the order, %j, is bad, although its signature is right', position => {
  const cursor = cursors.encode('sales', position as never)
  expect(() => cursors.decode('sales', PARTS, cursor)).toThrow(BAD)
})

test('a page has 1 to 1000, from one end alone, 50 where nothing is said', () => {
  expect(pageRequest({})).toEqual({ size: 50, last: false, after: null, before: null })
  expect(pageRequest({ last: 1000, before: 'b' })).toEqual({ size: 1000, last: true, after: null, before: 'b' })
  for (const args of [{ first: 0 }, { first: 1001 }, { last: -1 }, { last: 1001 }]) {
    expect(() => pageRequest(args)).toThrow(expect.objectContaining({ code: 'PAGE_SIZE_OUT_OF_RANGE' }))
  }
  expect(() => pageRequest({ first: 1, last: 1 })).toThrow(expect.objectContaining({ code: 'BAD_VALUE' }))
})

test('a page knows whether there is more on either side, and is read once', async () => {
  const all = [1, 2, 3, 4, 5]
  let reads = 0
  const source = (from: readonly number[], last: boolean) => ({
    read: async (limit: number) => {
      reads++
      const found = last ? from.slice(-limit) : from.slice(0, limit)
      return found.map(node => ({ node, cursor: () => String(node) }))
    },
  })
  const look = async (args: Parameters<typeof pageRequest>[0], from = all) => {
    const page = pageOf(pageRequest(args), source(from, args.last !== undefined))
    const [{ edges, hasPreviousPage, hasNextPage }] = await Promise.all([page.read(), page.read()])
    return [edges.map(({ node }) => node), hasPreviousPage, hasNextPage]
  }
  expect(await look({ first: 2 })).toEqual([[1, 2], false, true])
  expect(await look({ first: 5 })).toEqual([all, false, false])
  expect(await look({ first: 5, after: '2' }, [3, 4, 5])).toEqual([[3, 4, 5], true, false])
  expect(await look({ last: 2 })).toEqual([[4, 5], true, false])
  expect(await look({ last: 2, before: '3' }, [1, 2])).toEqual([[1, 2], false, true])
  expect(await look({ first: 1 }, [])).toEqual([[], false, false])
  expect(reads).toBe(6)
})
