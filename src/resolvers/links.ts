import type { Services } from '../jobs/services.ts'

/**
 * A link to a file below /content, for a browser, which sends no header with it. All of them are made here, so that what
 * a link needs to be good for a while, where not everybody may call, has one place.
 */
export const contentLink = (
  { publicUrl }: Pick<Services, 'publicUrl'>,
  { model, version }: { model: string; version: number },
  file: string,
): string => `${publicUrl()}/content/${model}/${version}/${file}`
