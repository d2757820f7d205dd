import type { Builder } from './builder.ts'
import type { Enums } from './enums.ts'

export function addManagers(builder: Builder, enums: Enums): void {
  builder.objectType('ManagerStatus', {
    description: "What a model's manager is at: the process that alone writes the model.",
    fields: t => ({
      id: t.exposeID('id', { description: 'That of the model.' }),
      state: t.expose('state', { type: enums.managerState, description: 'What it is at.' }),
      reason: t.expose('reason', { type: 'IntentError', nullable: true, description: 'Why it is BLOCKED.' }),
      retryAt: t.expose('retryAt', { type: 'DateTime', nullable: true, description: 'When it tries again.' }),
      epoch: t.exposeInt('epoch', { description: "Counts the model's managers." }),
      since: t.expose('since', {
        type: 'DateTime',
        nullable: true,
        description: 'Since when this manager has had the model.',
      }),
      queued: t.exposeInt('queued', { description: 'Intents that have not ended.' }),
      archiveLag: t.exposeInt('archiveLag', { description: 'Versions published and not archived yet.' }),
    }),
  })
}
