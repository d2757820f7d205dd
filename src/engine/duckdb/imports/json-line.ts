export class JsonError extends Error {}

/** What a key of a line has for a value. */
export const JSON_VALUE = { missing: 0, null: 1, bare: 2, plain: 3, escaped: 4, nested: 5 } as const
type JsonValue = (typeof JSON_VALUE)[keyof typeof JSON_VALUE]

const MAX_DEPTH = 500
const [TAB, LF, CR, SPACE, QUOTE, COMMA, MINUS, POINT, COLON, BACKSLASH] = [9, 10, 13, 32, 34, 44, 45, 46, 58, 92]
const [OPEN, CLOSE, OPEN_LIST, CLOSE_LIST] = [0x7b, 0x7d, 0x5b, 0x5d]
const [ZERO, NINE, UPPER_E, LOWER_E, LOWER_U] = [0x30, 0x39, 0x45, 0x65, 0x75]
const LITERALS = ['true', 'false', 'null'].map(text => Buffer.from(text))

/**
 * Reads one line of NDJSON by the letter of RFC 8259 and says where the values of the wanted keys are, so that a number
 * is never anything but its text. It copies nothing.
 */
export class JsonLineScanner {
  /** By the index of the key: what its value is, and where. A string's bytes are those between its quotes. */
  readonly values: Uint8Array
  readonly from: Int32Array
  readonly to: Int32Array
  readonly #wanted: ReadonlyMap<string, number>
  readonly #onOther: (key: string) => void
  /** The keys of the line before, in order: lines mostly have the same ones. */
  readonly #expected: { key: Buffer; index: number }[] = []
  #buffer: Buffer = Buffer.alloc(0)
  #at = 0
  #end = 0
  #escaped = false

  /** `onOther` is told of keys that are not wanted; of the same one now and then, and not each time. */
  constructor(wanted: readonly string[], onOther: (key: string) => void) {
    this.#wanted = new Map(wanted.map((key, index) => [key, index]))
    this.#onOther = onOther
    this.values = new Uint8Array(wanted.length)
    this.from = new Int32Array(wanted.length)
    this.to = new Int32Array(wanted.length)
  }

  /**
   * Reads the line from `from` to `end`; false where there is nothing but white space in it.
   * @throws JsonError
   */
  scan(buffer: Buffer, from: number, end: number): boolean {
    this.#buffer = buffer
    this.#at = from
    this.#end = end
    this.values.fill(JSON_VALUE.missing)
    this.#space()
    if (this.#at >= end) return false
    if (!this.#take(OPEN)) throw new JsonError('it is no JSON object')
    this.#object()
    this.#space()
    if (this.#at < end) throw new JsonError('there is more behind the JSON object')
    return true
  }

  #object(): void {
    this.#space()
    if (this.#take(CLOSE)) return
    for (let place = 0; ; place++) {
      const index = this.#key(place)
      this.#space()
      const kind = this.#value(0)
      if (index >= 0) {
        if (this.values[index] !== JSON_VALUE.missing) {
          throw new JsonError(`the key ${JSON.stringify([...this.#wanted.keys()][index])} is there twice`)
        }
        this.values[index] = kind
        this.from[index] = this.#valueFrom
        this.to[index] = this.#valueTo
      }
      this.#space()
      if (this.#take(CLOSE)) return
      if (!this.#take(COMMA)) throw this.#broken()
      this.#space()
    }
  }

  #valueFrom = 0
  #valueTo = 0

  /** The index of the key that begins here, -1 for one that is not wanted. */
  #key(place: number): number {
    const from = this.#at + 1
    if (!this.#take(QUOTE)) throw this.#broken()
    this.#string()
    const to = this.#at - 1
    const escaped = this.#escaped
    this.#space()
    if (!this.#take(COLON)) throw this.#broken()
    const expected = this.#expected[place]
    if (expected && !escaped && this.#is(expected.key, from, to)) return expected.index
    const raw = this.#buffer.subarray(from, to)
    const key = escaped ? jsonText(raw) : raw.toString()
    const index = this.#wanted.get(key) ?? -1
    if (index < 0) this.#onOther(key)
    if (!escaped && place < 1000) this.#expected[place] = { key: Buffer.from(raw), index }
    return index
  }

  #value(depth: number): JsonValue {
    const byte = this.#at < this.#end ? (this.#buffer[this.#at] as number) : 0
    if (byte === QUOTE) {
      this.#valueFrom = ++this.#at
      this.#string()
      this.#valueTo = this.#at - 1
      return this.#escaped ? JSON_VALUE.escaped : JSON_VALUE.plain
    }
    if (byte === OPEN || byte === OPEN_LIST) {
      this.#nested(depth)
      return JSON_VALUE.nested
    }
    this.#valueFrom = this.#at
    if (byte === MINUS || (byte >= ZERO && byte <= NINE)) this.#number()
    else {
      const literal = LITERALS.find(
        text => this.#at + text.length <= this.#end && this.#is(text, this.#at, this.#at + text.length),
      )
      if (!literal) throw this.#broken()
      this.#at += literal.length
      if (literal === LITERALS[2]) return JSON_VALUE.null
    }
    this.#valueTo = this.#at
    return JSON_VALUE.bare
  }

  #nested(depth: number): void {
    if (depth >= MAX_DEPTH) throw new JsonError(`it is nested more than ${MAX_DEPTH} deep`)
    const list = this.#buffer[this.#at++] === OPEN_LIST
    this.#space()
    if (this.#take(list ? CLOSE_LIST : CLOSE)) return
    for (;;) {
      if (!list) {
        if (!this.#take(QUOTE)) throw this.#broken()
        this.#string()
        this.#space()
        if (!this.#take(COLON)) throw this.#broken()
        this.#space()
      }
      this.#value(depth + 1)
      this.#space()
      if (this.#take(list ? CLOSE_LIST : CLOSE)) return
      if (!this.#take(COMMA)) throw this.#broken()
      this.#space()
    }
  }

  /** From behind the opening quote to behind the closing one. */
  #string(): void {
    const buffer = this.#buffer
    const end = this.#end
    this.#escaped = false
    for (let at = this.#at; at < end; at++) {
      const byte = buffer[at] as number
      if (byte === QUOTE) {
        this.#at = at + 1
        return
      }
      if (byte < SPACE) break
      if (byte === BACKSLASH) {
        this.#escaped = true
        at++
        const escaped = at < end ? (buffer[at] as number) : 0
        if (escaped === LOWER_U) {
          if (at + 4 >= end || !/^[0-9a-f]{4}$/i.test(buffer.toString('latin1', at + 1, at + 5))) break
          at += 4
        } else if (!'"\\/bfnrt'.includes(String.fromCharCode(escaped))) break
      }
    }
    throw new JsonError('a string in it is not closed, or holds a control character or an escape that is none')
  }

  #number(): void {
    this.#take(MINUS)
    if (!this.#take(ZERO)) this.#digits()
    if (this.#take(POINT)) this.#digits()
    const byte = this.#buffer[this.#at]
    if (this.#at < this.#end && (byte === LOWER_E || byte === UPPER_E)) {
      this.#at++
      if (!this.#take(MINUS)) this.#take(0x2b)
      this.#digits()
    }
  }

  #digits(): void {
    const from = this.#at
    for (let byte = this.#buffer[from] as number; this.#at < this.#end && byte >= ZERO && byte <= NINE; ) {
      byte = this.#buffer[++this.#at] as number
    }
    if (this.#at === from) throw this.#broken()
  }

  #space(): void {
    for (; this.#at < this.#end; this.#at++) {
      const byte = this.#buffer[this.#at]
      if (byte !== SPACE && byte !== TAB && byte !== CR && byte !== LF) return
    }
  }

  #take(byte: number): boolean {
    if (this.#at >= this.#end || this.#buffer[this.#at] !== byte) return false
    this.#at++
    return true
  }

  #is(text: Buffer, from: number, to: number): boolean {
    if (text.length !== to - from) return false
    for (let index = 0; index < text.length; index++) if (text[index] !== this.#buffer[from + index]) return false
    return true
  }

  #broken(): JsonError {
    return new JsonError('it is no valid JSON')
  }
}

/**
 * A string of JSON from its bytes between the quotes.
 * @throws JsonError where it holds what is no text
 */
export function jsonText(raw: Buffer): string {
  const text = JSON.parse(`"${raw.toString()}"`) as string
  if (text.includes('\0')) throw new JsonError('a string in it holds the character U+0000, which is no text')
  if (!text.isWellFormed()) throw new JsonError('a string in it holds half a surrogate pair and so is no Unicode text')
  return text
}
