import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { KILL_POINTS, type KillPoint } from '../../../src/platform/kill-points.ts'

/** What is to happen to whoever comes to a kill point first; see `reach`. `held`: until who gave the order wakes it. */
export type Order = 'kill' | 'stop' | 'stop held' | `block ${number}` | `fail ${string}`

export interface Hit {
  point: KillPoint
  order: string
  pid: number
}

/** The harness's end of the kill points: one folder for all processes of a platform. */
export class KillOrders {
  readonly dir: string
  #given = 0

  private constructor(dir: string) {
    this.dir = dir
  }

  static async open(dir: string): Promise<KillOrders> {
    await mkdir(dir, { recursive: true })
    return new KillOrders(dir)
  }

  async give(point: KillPoint, order: Order): Promise<void> {
    const path = join(this.dir, point)
    // Several may give orders for a point at once: the last one counts.
    const written = `${path}.${this.#given++}`
    await writeFile(written, order)
    await rename(written, path)
  }

  /** Whether somebody has come to the point since the order was given. */
  isTaken(point: KillPoint): boolean {
    return !existsSync(join(this.dir, point))
  }

  async takeBack(point: KillPoint): Promise<void> {
    await rm(join(this.dir, point), { force: true })
  }

  async hits(): Promise<Hit[]> {
    return (await this.#lines('hit')).map(line => {
      const [point, ...rest] = line.split(' ')
      return { point: point as KillPoint, order: rest.slice(0, -1).join(' '), pid: Number(rest.at(-1)) }
    })
  }

  /** The points that any process has come to. */
  async reached(): Promise<Set<KillPoint>> {
    return new Set((await this.#lines('reached')) as KillPoint[])
  }

  async #lines(name: string): Promise<string[]> {
    const text = await readFile(join(this.dir, name), 'utf8').catch(() => '')
    return text.split('\n').filter(line => KILL_POINTS.some(point => line.startsWith(point)))
  }
}
