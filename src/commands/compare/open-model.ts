import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Change, Engine, Writer } from '../../engine/engine.ts'
import type { Kind, Kinds } from '../../kinds/kind.ts'
import type { Row } from '../../kinds/types.ts'
import type { Task } from './messages.ts'
import { bytesOf, type ModelId, newestVersion, versionAt, versionFolder } from './versions.ts'

/** What a task is done with. */
export interface TaskContext {
  task: Task
  engine: Engine
  kinds: Kinds
  onStep(step: string): void
}

/** So that what functions write of it is the same on every engine. */
const SUBMITTED_AT = '2026-01-01T09:00:00.000000Z'
const KEPT = 3

export function kindOf(kinds: Kinds, name: string): Kind {
  const kind = kinds.get(name)
  if (!kind) throw new Error(`there is no kind ${name}`)
  return kind
}

/** A model that is written to, from its newest version on. The newest three are kept, as the platform has it. */
export class OpenModel implements AsyncDisposable {
  readonly #context: TaskContext
  readonly #id: ModelId
  readonly #writer: Writer
  readonly #scratch: string

  private constructor(context: TaskContext, id: ModelId, writer: Writer, scratch: string) {
    this.#context = context
    this.#id = id
    this.#writer = writer
    this.#scratch = scratch
  }

  static async open(context: TaskContext, id: ModelId): Promise<OpenModel> {
    const { task, engine, kinds } = context
    const folder = join(task.dir, task.engine)
    await mkdir(folder, { recursive: true })
    const scratch = await mkdtemp(join(folder, 'scratch-'))
    const from = (await newestVersion(task, id))?.files ?? null
    const writer = await engine.openWriter({ kind: kindOf(kinds, id), kinds, dir: scratch, from })
    return new OpenModel(context, id, writer, scratch)
  }

  async apply(change: Change): Promise<{ ms: number; processorMs: number; result: Row }> {
    const { lastSeq, version } = this.#writer
    const [started, before] = [performance.now(), process.cpuUsage()]
    const [outcome] = await this.#writer.apply(
      [
        {
          intentId: `intent-${lastSeq + 1n}`,
          seq: lastSeq + 1n,
          submittedAt: SUBMITTED_AT,
          change,
          signal: new AbortController().signal,
          onStep: step => this.#context.onStep(step),
        },
      ],
      version + 1,
    )
    const ms = performance.now() - started
    const { user, system } = process.cpuUsage(before)
    if (!outcome?.ok) throw outcome?.error ?? new Error('no outcome')
    return { ms, processorMs: (user + system) / 1000, result: outcome.result }
  }

  async publish(): Promise<{ ms: number; bytes: number }> {
    const { version } = this.#writer
    const { task } = this.#context
    const folder = versionFolder(task, this.#id, version)
    await mkdir(dirname(folder), { recursive: true })
    const started = performance.now()
    await this.#writer.snapshot(folder)
    const ms = performance.now() - started
    if (version > KEPT) await rm(versionFolder(task, this.#id, version - KEPT), { recursive: true, force: true })
    return { ms, bytes: await bytesOf((await versionAt(task, this.#id, version)).files) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close()
    await rm(this.#scratch, { recursive: true, force: true })
  }
}
