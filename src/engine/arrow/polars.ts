import { createRequire } from 'node:module'
import pl, { type DataType, type Series } from 'nodejs-polars'

export type { DataFrame, DataType, Expr, LazyDataFrame, Series } from 'nodejs-polars'

/*
 * Polars, but for how its package makes expressions and series: each is an object of some 250 functions of its own, which
 * takes 1.5 ms of the event loop, where Polars itself is done in 4 µs; a filter is made of dozens. Here they have one prototype.
 * What is replaced is internal to the package, whose version is pinned; all of it can be used as its documentation says.
 */

export default pl

type Native = Record<PropertyKey, unknown>
type Make = (native: Native) => object

const require = createRequire(import.meta.url)
const expressions = require('nodejs-polars/bin/lazy/expr/index.js') as { _Expr: Make; Expr: Make & object }
const namespaces: Readonly<Record<string, Make>> = {
  str: require('nodejs-polars/bin/lazy/expr/string.js').ExprStringFunctions,
  dt: require('nodejs-polars/bin/lazy/expr/datetime.js').ExprDateTimeFunctions,
  list: require('nodejs-polars/bin/lazy/expr/list.js').ExprListFunctions,
  lst: require('nodejs-polars/bin/lazy/expr/list.js').ExprListFunctions,
  struct: require('nodejs-polars/bin/lazy/expr/struct.js').ExprStructFunctions,
}

/** The package's own functions, made once, over whichever expression one of them is called on. */
class LightExpr {
  readonly _expr: Native

  constructor(native: Native) {
    this._expr = native
  }

  inner(): Native {
    return this._expr
  }
}

let called: Native = {}
const whicheverIsCalled: Native = new Proxy(
  {},
  {
    get: (_, name) => {
      const member = called[name]
      return typeof member === 'function' ? member.bind(called) : member
    },
  },
)

function replaceExpressions(): void {
  const template = expressions._Expr(whicheverIsCalled)
  const { prototype } = LightExpr
  for (const name of Reflect.ownKeys(template)) {
    const make = typeof name === 'string' ? namespaces[name] : undefined
    const member = make ? undefined : Reflect.get(template, name)
    if (make) {
      Object.defineProperty(prototype, name, {
        get(this: LightExpr) {
          return make(this._expr)
        },
      })
    } else if (typeof member === 'function' && !Object.hasOwn(prototype, name)) {
      Object.defineProperty(prototype, name, {
        value(this: LightExpr, ...args: unknown[]) {
          const before = called
          called = this._expr
          try {
            return member.apply(this, args)
          } finally {
            called = before
          }
        },
      })
    }
  }
  const light: Make = native => new LightExpr(native)
  expressions._Expr = light
  expressions.Expr = Object.assign(light, { ...expressions.Expr })
}
replaceExpressions()

const { arrayToJsSeries } = require('nodejs-polars/bin/internals/construction.js') as {
  arrayToJsSeries(name: string, values: readonly unknown[], type: DataType): NativeSeries
}
interface NativeSeries {
  cast(type: DataType, strict: boolean): NativeSeries
}

/** Values as a column of the first type, which is cast to the others, one after the other, each strictly. To make frames and literals of. */
export function seriesThrough(
  name: string,
  values: readonly unknown[],
  [given, ...more]: readonly [DataType, ...DataType[]],
): Series {
  const native = more.reduce((series, type) => series.cast(type, true), arrayToJsSeries(name, values, given))
  const light = { _s: native, name, inner: () => native, [Symbol.toStringTag]: () => 'Series' }
  // Just what `pl.lit` and `pl.DataFrame` take out of one.
  return light as unknown as Series
}
