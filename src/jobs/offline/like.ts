const ANY = Symbol('%')
const ONE = Symbol('_')

/** SQL's LIKE: % is any text, _ any one character, and a backslash takes the next character as it is. */
export function isLike(text: string, pattern: string): boolean {
  const wanted = parse(pattern)
  const characters = [...text]
  let [at, next] = [0, 0]
  // Behind the last %, and where the text went on from it: whatever comes before it need not be looked at again.
  let [resume, from] = [-1, 0]
  while (at < characters.length) {
    if (wanted[next] === ANY) {
      next++
      ;[resume, from] = [next, at]
    } else if (wanted[next] === ONE || wanted[next] === characters[at]) {
      next++
      at++
    } else if (resume >= 0) {
      from++
      ;[next, at] = [resume, from]
    } else return false
  }
  return wanted.slice(next).every(each => each === ANY)
}

function parse(pattern: string): (string | symbol)[] {
  const wanted: (string | symbol)[] = []
  let escaped = false
  for (const character of pattern) {
    if (!escaped && character === '\\') {
      escaped = true
      continue
    }
    wanted.push(escaped ? character : character === '%' ? ANY : character === '_' ? ONE : character)
    escaped = false
  }
  return wanted
}
