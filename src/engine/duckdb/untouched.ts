import { stat, utimes } from 'node:fs/promises'

/** A time that no write gives to a file: whatever writes to it after it was marked gives it another. */
const LONG_AGO = new Date(0)

/** Marks the file, so that it can be told whether something has written to it since. */
export const markUntouched = (path: string): Promise<void> => utimes(path, LONG_AGO, LONG_AGO)

export const isUntouched = async (path: string): Promise<boolean> => (await stat(path)).mtimeMs === LONG_AGO.getTime()
