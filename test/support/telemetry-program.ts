import { runNode } from './node-process.ts'

/** A program with telemetry named `service`; `body` says what it does between start and stop. */
export const program = (service: string, body: string) => `
  import { metrics, SpanKind, span, startTelemetry, traceparent } from './src/platform/telemetry/index.ts'
  import { createLog } from './src/platform/log.ts'
  import { setImmediate as turn } from 'node:timers/promises'
  const log = createLog({ name: '${service}' })
  const telemetry = await startTelemetry({ service: '${service}', version: '1.2.3', env: process.env, log })
  ${body}
  await telemetry.stop()
`

/** Runs a program to its end, which it has to come to by itself and without a fault, and answers with what it wrote. */
export async function run(source: string, env: Readonly<Record<string, string>> = {}) {
  const { code, stdout, stderr } = await runNode(source, env).ended
  if (code !== 0) throw new Error(`the program ended with ${code}: ${stderr}`)
  return { stdout, stderr }
}
