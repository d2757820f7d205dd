import type { Kinds } from '../../kinds/kind.ts'
import type { ManagerState } from '../manager-states.ts'
import type { ModelFilter, ModelPosition, Models } from '../models.ts'
import type { Model } from '../records.ts'
import type { Public } from '../services.ts'
import { isLike } from './like.ts'
import type { Pulled, PulledFolder } from './pulled-folder.ts'
import { offline } from './refusing.ts'

interface Page {
  limit: number
  last?: boolean
  after?: ModelPosition
  before?: ModelPosition
}

/** The models that were pulled, each as its newest version here says it. */
export class OfflineModels implements Public<Models> {
  readonly #folder: PulledFolder
  readonly #kinds: Kinds

  constructor(deps: { folder: PulledFolder; kinds: Kinds }) {
    this.#folder = deps.folder
    this.#kinds = deps.kinds
  }

  async get(id: string): Promise<Model | null> {
    const [model] = await this.find([id])
    return model ?? null
  }

  async find(ids: readonly string[]): Promise<Model[]> {
    return (await this.#all()).filter(({ id }) => ids.includes(id))
  }

  async reads(id: string): Promise<Model[]> {
    const [newest] = await this.#folder.versions(id)
    const models = await this.find(newest?.model.reads ?? [])
    return models.sort((a, b) => compare(a.id, b.id))
  }

  async list(where: ModelFilter, { limit, last, after, before }: Page): Promise<Model[]> {
    const models = (await this.#matching(where)).filter(
      model => (!after || byMaking(model, after) > 0) && (!before || byMaking(model, before) < 0),
    )
    return last ? models.slice(-limit) : models.slice(0, limit)
  }

  async count(where: ModelFilter): Promise<number> {
    return (await this.#matching(where)).length
  }

  /** Nobody works on them here. */
  async managers(ids: readonly string[]): Promise<ManagerState[]> {
    const idle = {
      state: 'IDLE',
      reason: null,
      retryAt: null,
      epoch: 0,
      since: null,
      queued: 0,
      archiveLag: 0,
    } as const
    return (await this.find(ids)).map(({ id }) => ({ id, ...idle }))
  }

  create = refuse
  update = refuse
  delete = refuse

  async #matching({ ids, kind, engine, nameLike }: ModelFilter): Promise<Model[]> {
    return (await this.#all()).filter(
      model =>
        this.#kinds.has(model.kind) &&
        (ids == null || ids.includes(model.id)) &&
        (kind == null || model.kind === kind) &&
        (engine == null || model.engine === engine) &&
        (nameLike == null || isLike(model.name, nameLike)),
    )
  }

  /** In the order of their making. */
  async #all(): Promise<Model[]> {
    const versions = await Promise.all((await this.#folder.models()).map(id => this.#folder.versions(id)))
    return versions.flatMap(([newest]) => (newest ? [modelOf(newest)] : [])).sort(byMaking)
  }
}

function modelOf({ model, version, lastSeq, completions }: Pulled): Model {
  const { reads: _, ...rest } = model
  return {
    ...rest,
    shape: {},
    epoch: 0,
    version,
    lastSeq: BigInt(lastSeq),
    completions: BigInt(completions),
    archivedVersion: version,
    blocked: null,
    retryAt: null,
  }
}

async function refuse(): Promise<never> {
  throw offline('changes')
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const byMaking = (a: ModelPosition, b: ModelPosition): number =>
  compare(a.createdAt, b.createdAt) || compare(a.id, b.id)
