import { spawnSync } from 'node:child_process'
import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import { readable, withoutSecrets } from '../../src/platform/log.ts'
import { runNode } from '../support/node-process.ts'
import { startOtlpReceiver } from '../support/otlp-receiver.ts'

test('writes JSON lines, with the trace they belong to', async () => {
  await using collector = await startOtlpReceiver()
  const source = `
    import { createLog } from './src/platform/log.ts'
    import { span, startTelemetry, traceparent } from './src/platform/telemetry/index.ts'
    const telemetry = await startTelemetry({ service: 'api', version: '1', env: process.env })
    const log = createLog({ name: 'manager-1' }).child({ model: 'm1' })
    log.debug('unseen')
    log.info({ rows: 10n }, 'outside')
    await span('work', {}, () => {
      console.log(traceparent())
      log.error({ err: new Error('wrong', { cause: new TypeError('why') }) }, 'inside')
    })
    await telemetry.stop()`
  const { code, stdout, stderr } = await runNode(source, collector.env).ended
  expect(code, stderr).toBe(0)
  const [outside, inside, ...more] = stderr
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  const [, traceId, spanId] = stdout[0]?.split('-') ?? []
  expect(more).toEqual([])
  expect(outside).toMatchObject({ level: 'info', name: 'manager-1', model: 'm1', rows: 10, msg: 'outside' })
  expect(outside).not.toHaveProperty('trace_id')
  expect(new Date(outside.time).toISOString()).toBe(outside.time)
  expect(inside).toMatchObject({ level: 'error', trace_id: traceId, span_id: spanId })
  expect(inside.err).toMatchObject({ message: 'wrong', cause: { type: 'TypeError', message: 'why' } })
})

test('writes no secret, wherever it is in a line', async () => {
  const source = `
    import { createLog } from './src/platform/log.ts'
    createLog({ name: 'api' }).warn({
      err: new Error('cannot connect to postgres://tea:HIDDEN1@db:5432/teatree?sslmode=require'),
      request: { url: '/graphql?token=HIDDEN2', headers: { authorization: 'Bearer HIDDEN3', 'set-cookie': ['HIDDEN4', 'b'] } },
      settings: { a: { b: { c: { d: { TEATREE_JWT_SECRET: 'HID"DEN5', AWS_SECRET_ACCESS_KEY: 'HIDDEN6' } } } } },
      text: JSON.stringify({ password: 'HIDDEN7' }),
      seen: 'https://store/bucket/key?X-Amz-Signature=HIDDEN8&x=1',
      tokens: 3,
    }, 'sent authorization: Bearer HIDDEN9')`
  const { stderr } = await runNode(source).ended
  const line = JSON.parse(stderr)
  expect(stderr).not.toMatch(/HIDDEN|DEN5/)
  expect(line.err.message).toBe('cannot connect to postgres://tea:***@db:5432/teatree?sslmode=require')
  expect(line.request.headers).toEqual({ authorization: '***', 'set-cookie': '***' })
  expect(line).toMatchObject({ text: '{"password":"***"}', seen: 'https://store/bucket/key?X-Amz-Signature=***&x=1' })
  expect(line).toMatchObject({ tokens: 3, msg: 'sent authorization: Bearer ***' })
})

test.each([
  '{"msg":"listening on http://127.0.0.1:4000/graphql","level":"info"}',
  '{"msg":"a token is missing: see the secret of your cookie","idempotencyKey":"k-1","uri":"s3://bucket/a@b"}',
])('leaves what is no secret as it is: %s', line => {
  expect(withoutSecrets(line)).toBe(line)
})

test('a long line that looks like many secrets is searched in no time worth speaking of', () => {
  for (const part of ['"token', 'token', '://a:', '["', '"token":["a",', 'eyJa.']) {
    const line = part.repeat(20_000)
    expect(typeof withoutSecrets(line)).toBe('string')
  }
})

test('reads well on a terminal', () => {
  const err = { type: 'Error', message: 'wrong', stack: 'Error: wrong\n    at here', cause: { message: 'why' } }
  const fields = {
    level: 'error',
    time: '2026-01-02T03:04:05.678Z',
    pid: 1,
    hostname: 'h',
    name: 'api',
    model: 'm1',
    n: 2,
  }
  const line = stripVTControlCharacters(readable(JSON.stringify({ ...fields, err, msg: 'failed' })))
  expect(line).toBe('03:04:05.678 ERROR [api] failed model=m1 n=2\n    Error: wrong\n        at here\n    why\n')
})

test.skipIf(process.platform !== 'linux')('goes on where its lines cannot be written', () => {
  const source = `
    import { createLog } from './src/platform/log.ts'
    const log = createLog({ name: 'api' })
    for (let i = 0; i < 3; i++) log.error('lost')
    setImmediate(() => { log.error('lost'); console.log('on') })`
  const shell = ['-c', '"$0" --input-type=module --eval "$1" 2>/dev/full', process.execPath, source]
  const { status, stdout } = spawnSync('sh', shell, { encoding: 'utf8', cwd: new URL('../..', import.meta.url) })
  expect({ status, stdout }).toEqual({ status: 0, stdout: 'on\n' })
})
