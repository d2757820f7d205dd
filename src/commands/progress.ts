import { Presets, SingleBar } from 'cli-progress'

/** What a person sees of something that takes a while. Dispose of it: a bar that is left alone hides the cursor. */
export interface Progress extends Disposable {
  /** `share` from 0 to 1, where it is known. */
  at(step: string, share: number | null): void
  done(summary: string): void
}

/** A bar on a terminal; elsewhere one plain line as it is done, for logs. */
export function showProgress(title: string, out: NodeJS.WriteStream = process.stdout): Progress {
  if (!out.isTTY)
    return { at: () => {}, done: summary => out.write(`${title}: ${summary}\n`), [Symbol.dispose]: () => {} }
  const format = `${title.padEnd(24)} {bar} {percentage}%  {step}`
  const bar = new SingleBar(
    // With gracefulExit the bar would listen for signals, and take the one that is to end the process.
    { format, stream: out, hideCursor: true, barsize: 30, clearOnComplete: true, gracefulExit: false },
    Presets.shades_classic,
  )
  bar.start(100, 0, { step: '' })
  return {
    at: (step, share) => (share === null ? bar.increment(0, { step }) : bar.update(Math.round(share * 100), { step })),
    done: summary => {
      bar.update(100, { step: '' })
      bar.stop()
      out.write(`${title.padEnd(24)} ${summary}\n`)
    },
    [Symbol.dispose]: () => bar.stop(),
  }
}
