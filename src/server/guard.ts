import type { IncomingHttpHeaders } from 'node:http'
import { TeatreeError } from '../platform/errors.ts'

/** Refuses (FORBIDDEN) a request that a web page of somebody else's made a browser send. */
export type Guard = (headers: IncomingHttpHeaders) => void

/**
 * Who may call is, on a loopback address, whoever is on this machine; but that is also where a browser runs, with pages
 * of anybody in it. Two things give those away, and neither can be set by a page:
 *
 *   Host     the name the browser took us for. A name that its owner points at 127.0.0.1 (DNS rebinding) would make
 *            his page ours, so only names of this machine are taken, and that of the public URL.
 *   Origin   where the page is from: sent with what a page sends to another origin, and with every WebSocket.
 */
export function guardOf(host: string, publicUrl?: string): Guard {
  const loopback = isLoopback(host)
  const alias = publicUrl === undefined ? null : (URL.parse(publicUrl)?.hostname ?? null)
  const isOurs = (name: string) => name === alias || (loopback && isLoopback(name))
  return headers => {
    const name = hostname(`http://${headers.host}`)
    if (name === null || (loopback && !isOurs(name)))
      throw new TeatreeError('FORBIDDEN', `The server does not go by the name in the Host header; use ${host}.`)
    if (!sameSite(headers, loopback ? isOurs : from => from === name))
      throw new TeatreeError('FORBIDDEN', 'A page of another site may not call this server.')
  }
}

function sameSite(headers: IncomingHttpHeaders, ours: (name: string) => boolean): boolean {
  const { origin } = headers
  if (origin !== undefined) {
    const name = hostname(origin)
    return name !== null && ours(name)
  }
  // A page can load us as an image or a script, which has no Origin. To follow a link is fine.
  return headers['sec-fetch-site'] !== 'cross-site' || headers['sec-fetch-mode'] === 'navigate'
}

function hostname(origin: string): string | null {
  const url = /^https?:\/\/[\w.:[\]-]+$/.test(origin) ? URL.parse(origin) : null
  return url && url.hostname !== '' ? url.hostname.replace(/\.$/, '') : null
}

/** Whether a host name always means this machine. (An IPv6 address is in brackets, as in a URL, or bare.) */
export function isLoopback(name: string): boolean {
  return /^((.+\.)?localhost|127\.\d+\.\d+\.\d+|\[?::1\]?)$/i.test(name)
}
