import { digestOf } from './digest.ts'
import type { Call, Cancellation, FaultNote, FileSight, ModelOf, Read, Sight, Tables, Told } from './history.ts'

/** What is seen of a schedule while it runs. */
export class Recorder {
  readonly models: ModelOf[] = []
  readonly calls: Call[] = []
  readonly cancellations: Cancellation[] = []
  readonly reads: Read[] = []
  readonly told: Told[] = []
  readonly sights: Sight[] = []
  readonly files: FileSight[] = []
  readonly faults: FaultNote[] = []
  readonly contents = new Map<string, Tables>()
  readonly #began = performance.now()

  /** Milliseconds since it began. */
  now(): number {
    return Math.round((performance.now() - this.#began) * 1000) / 1000
  }

  /** Notes rows down once, and answers with what they are found by. */
  keep(tables: Tables): string {
    const digest = digestOf(tables)
    if (!this.contents.has(digest)) this.contents.set(digest, tables)
    return digest
  }

  /** Intents that were acknowledged, the newest last. */
  accepted(model: string): NonNullable<Call['intent']>[] {
    return this.calls.filter(call => call.model === model).flatMap(({ intent }) => (intent ? [intent] : []))
  }
}
