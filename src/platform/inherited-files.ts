import { closeSync, fstatSync, readdirSync } from 'node:fs'

/**
 * Closes the files that this process was given by the one that started it; to be called before it opens any. DuckDB opens
 * what it only reads so that child processes have it open, too, for as long as they live: the room of versions that have been let go
 * would not be free before, and who runs a user's SQL would hold the files of all models that the server reads.
 */
export function closeInheritedFiles(): void {
  for (const name of openDescriptors()) {
    const descriptor = Number(name)
    // Pipes, sockets and the event loop's own are none; where the first three lead to files, they are to be written to.
    if (descriptor > 2 && isFile(descriptor)) closeSync(descriptor)
  }
}

/** None on a system that does not tell. */
function openDescriptors(): string[] {
  try {
    return readdirSync('/dev/fd')
  } catch {
    return []
  }
}

/** The descriptor by which the others were listed is closed by now. */
function isFile(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isFile()
  } catch {
    return false
  }
}
