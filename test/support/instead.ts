/** What does all that `of` does, but for these methods. */
export const instead = <T extends object>(of: T, methods: Partial<T>): T =>
  new Proxy(of, {
    get(_, name) {
      const value = Reflect.get(Object.hasOwn(methods, name) ? methods : of, name, of)
      return typeof value === 'function' ? value.bind(of) : value
    },
  })
