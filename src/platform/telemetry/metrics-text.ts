/** The media type of what `/metrics` answers. */
export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/**
 * One text out of those of several processes, by the processes' names: each sample gets the label `process`, and what
 * belongs to one metric comes together under one HELP and one TYPE, as the format demands.
 */
export function joinMetrics(texts: Readonly<Record<string, string>>): string {
  const families = new Map<string, { about: Map<string, string>; samples: string[] }>()
  for (const [process, text] of Object.entries(texts)) {
    let family: { about: Map<string, string>; samples: string[] } | undefined
    for (const line of text.split('\n')) {
      const [, word, name] = /^# (HELP|TYPE) (\S+)/.exec(line) ?? []
      if (word && name) {
        family = families.get(name) ?? { about: new Map(), samples: [] }
        families.set(name, family)
        if (!family.about.has(word)) family.about.set(word, line)
      } else if (line && !line.startsWith('#')) {
        family?.samples.push(labelled(line, process))
      }
    }
  }
  const lines = [...families.values()].flatMap(({ about, samples }) => [...about.values(), ...samples])
  return lines.map(line => `${line}\n`).join('')
}

/** `name{a="b"} 1` and `name 1` with one label more; label values hold no bare line break, quote or backslash. */
function labelled(sample: string, process: string): string {
  const end = sample.search(/[{ ]/)
  const rest = sample[end] === '{' ? `,${sample.slice(end + 1)}` : `}${sample.slice(end)}`
  return `${sample.slice(0, end)}{process=${JSON.stringify(process)}${rest}`
}
