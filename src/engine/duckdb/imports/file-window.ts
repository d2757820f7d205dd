import { open } from 'node:fs/promises'

/** A record of a text file is at most this long. */
export const MAX_RECORD_BYTES = 16 * 1024 * 1024
const FIRST_BYTES = 1024 * 1024
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

/**
 *   file   ····▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒····
 *              │ from            to │
 *
 * The part of a file that is in memory. Its reader moves `from` behind the records that it has taken, and what is left,
 * the beginning of a record, is there again in the next window with more behind it.
 */
export interface FileWindow {
  readonly buffer: Buffer
  from: number
  readonly to: number
  /** Whether the file ends at `to`. */
  readonly final: boolean
  /** How much of the file has been read, 0 to 1. */
  readonly progress: number
}

/** The windows of a file in order, without its byte order mark; a last one that is final, be it empty. */
export async function* fileWindows(path: string, signal: AbortSignal): AsyncGenerator<FileWindow, void, void> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    const window = { buffer: Buffer.allocUnsafe(FIRST_BYTES), from: 0, to: 0, final: false, progress: 0 }
    let position = 0
    while (!window.final) {
      signal.throwIfAborted()
      makeRoom(window)
      const { bytesRead } = await file.read(window.buffer, window.to, window.buffer.length - window.to, position)
      if (position === 0 && window.buffer.subarray(0, bytesRead).indexOf(BYTE_ORDER_MARK) === 0) window.from = 3
      position += bytesRead
      window.to += bytesRead
      window.final = bytesRead === 0
      window.progress = size === 0 ? 1 : Math.min(1, position / size)
      yield window
    }
  } finally {
    await file.close()
  }
}

/** Moves what is left to the front; a record that fills the buffer gets one of twice the size. */
function makeRoom(window: { buffer: Buffer; from: number; to: number }): void {
  const { buffer, from, to } = window
  const left = to - from
  const target = left > buffer.length / 2 ? Buffer.allocUnsafe(buffer.length * 2) : buffer
  buffer.copy(target, 0, from, to)
  Object.assign(window, { buffer: target, from: 0, to: left })
}
