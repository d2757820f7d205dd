import type { FileSight, History, Sight, VersionRow, Violation } from '../history.ts'

/** Numbers of versions and epochs, and the bytes of what is published. (5, 8, 9) */
export function checkVersions(history: History): Violation[] {
  const ofModels = history.models.flatMap(({ id }) => {
    const versions = history.end.versions.filter(({ model }) => model === id).sort((a, b) => a.version - b.version)
    const sights = history.sights.filter(({ model }) => model === id)
    return [...numbers(versions), ...backwards(sights), ...overtaken(versions, sights)]
  })
  return [...ofModels, ...changedBytes(history.files)]
}

function numbers(versions: readonly VersionRow[]): Violation[] {
  const found: Violation[] = []
  for (const [index, row] of versions.entries()) {
    const before = versions[index - 1]
    if (row.version !== index)
      return [{ invariant: 5, what: `version ${index} is missing, or there twice`, shown: [before, row] }]
    if (before && row.epoch < before.epoch)
      found.push({
        invariant: 9,
        what: `version ${row.version} is of an older epoch than the one before`,
        shown: [before, row],
      })
    if (before && row.lastSeq < before.lastSeq)
      found.push({ invariant: 5, what: `version ${row.version} holds less than the one before`, shown: [before, row] })
  }
  return found
}

function backwards(sights: readonly Sight[]): Violation[] {
  for (const [index, sight] of sights.entries()) {
    const before = sights[index - 1]
    if (before && (sight.epoch < before.epoch || sight.version < before.version || sight.lastSeq < before.lastSeq))
      return [{ invariant: 5, what: 'the model went back', shown: [before, sight] }]
  }
  return []
}

/** A version that was not there when a newer epoch was, and is of an older one. */
function overtaken(versions: readonly VersionRow[], sights: readonly Sight[]): Violation[] {
  for (const sight of sights) {
    const late = versions.find(({ version, epoch }) => version > sight.version && epoch < sight.epoch)
    if (late)
      return [
        {
          invariant: 9,
          what: `epoch ${late.epoch} published version ${late.version} after its end`,
          shown: [sight, late],
        },
      ]
  }
  return []
}

function changedBytes(files: readonly FileSight[]): Violation[] {
  const first = new Map<string, FileSight>()
  return files.flatMap(sight => {
    const before = first.get(sight.path)
    if (!before) first.set(sight.path, sight)
    if (!before || before.sha256 === sight.sha256) return []
    return [{ invariant: 8, what: `${sight.path} has changed`, shown: [before, sight] }]
  })
}
