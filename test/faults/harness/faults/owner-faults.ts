import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { comesTrue } from '../../../support/comes-true.ts'
import { PROGRAM } from '../../../support/manager-process.ts'
import type { Deployment } from '../deployment.ts'
import { pick, upTo } from '../operations.ts'
import { isManager, processesOf, signal } from '../processes.ts'
import { type Fault, killManagers, nodeOf, PAST_LEASE_MS, STOP_MS, stoppedAt } from './fault.ts'

/** As another release would, whose columns those of this one do not know. */
async function migrateFurther({ db }: Deployment, column: string): Promise<void> {
  for (const table of ['goal_model', 'intent'])
    await comesTrue(async () => {
      const altered = db.transaction(async tx => {
        // Behind what a frozen process has locked nobody else should have to wait.
        await tx.query(`SET LOCAL lock_timeout = '100ms'`)
        await tx.query(`ALTER TABLE ${table} ADD COLUMN IF NOT EXISTS ${column} integer`)
      })
      return altered.then(
        () => true,
        () => wait(400, false),
      )
    })
}

/** Several who want to own the same model. */
export const OWNER_FAULTS: Readonly<Record<string, Fault>> = {
  'another manager for a model': async context => {
    const { deployment, models, random } = context
    const [node] = deployment.nodes
    const child = spawn(process.execPath, [PROGRAM, 'manager', '--model', pick(random, models)], {
      env: { ...deployment.env, TEATREE_DATABASE_URL: `${node?.databaseUrl}` },
      stdio: 'ignore',
    })
    const exit = once(child, 'exit')
    await wait(3000)
    // Others may get the model while it has not yet.
    await killManagers(context)
    await wait(3000)
    child.kill('SIGTERM')
    const code = await Promise.race([exit.then(([ended]) => ended), wait(STOP_MS, 'late', { ref: false })])
    if (code !== 'late') return
    child.kill('SIGKILL')
    context.broken(12, 'a manager that was told to stop did not')
  },

  'an owner frozen before it publishes, which goes on beside its successor': async ({ deployment, idle }) => {
    const owner = await stoppedAt(deployment, 'snapshot.made', 25_000)
    if (owner === null) return idle('no owner came to publish')
    const successor = await stoppedAt(deployment, 'lease.acquired', 2 * PAST_LEASE_MS)
    // Everybody has seen the new epoch by then.
    await wait(1000)
    signal(owner, 'SIGCONT')
    await wait(2000)
    if (successor === null) return idle('nobody succeeded it')
    signal(successor, 'SIGCONT')
  },

  'another release started, while managers of the one before are frozen, and wake beside it': async context => {
    const { deployment, random } = context
    const { pid } = nodeOf(context)
    const old = (await processesOf(deployment.dir)).filter(each => isManager(each) && each.parent === pid)
    if (old.length === 0) context.idle('there was no manager to freeze')
    for (const each of old) signal(each.pid, 'SIGSTOP')
    if (pid !== null) signal(pid, 'SIGKILL')
    const migrated = migrateFurther(deployment, `another_${upTo(random, 10 ** 9)}`)
    await wait(PAST_LEASE_MS)
    for (const each of old) signal(each.pid, 'SIGCONT')
    await migrated
  },
}
