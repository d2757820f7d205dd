import { renameSync, writeFileSync } from 'node:fs'
import { createHistogram, monitorEventLoopDelay } from 'node:perf_hooks'

/**
 * What a process tells of its event loop, in milliseconds: how far apart two turns were that should be 1 ms apart, and how
 * long its thread computed in between, which others on a busy machine have no part in.
 */
export interface LoopDelay {
  p99: number
  max: number
  cpuP99: number
  cpuMax: number
}

/*
 * Given to a process by `--import`, with BENCH_LOOP_DELAY in its environment: upon SIGUSR2 it writes how its event loop was
 * delayed since the last time to that file.
 */
const file = process.env.BENCH_LOOP_DELAY
if (file !== undefined) {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const computed = createHistogram()
  let before = process.threadCpuUsage()
  setInterval(() => {
    const now = process.threadCpuUsage()
    computed.record(Math.max(1, now.user + now.system - before.user - before.system))
    before = now
  }, 1).unref()
  process.on('SIGUSR2', () => {
    const told: LoopDelay = {
      p99: delay.percentile(99) / 1e6,
      max: delay.max / 1e6,
      cpuP99: computed.percentile(99) / 1e3,
      cpuMax: computed.max / 1e3,
    }
    writeFileSync(`${file}.new`, JSON.stringify(told))
    renameSync(`${file}.new`, file)
    delay.reset()
    computed.reset()
  })
}
