import { describe, expect, it } from 'vitest'
import { MAX_CAPTURE_CONNECTIONS } from '../../../src/harness/capture/capture-event.ts'
import type { CaptureEvent } from '../../../src/harness/capture/capture-event.ts'
import { Recorder } from '../../../src/harness/capture/recorder.ts'

function record(maxRecords = 10) {
  const events: CaptureEvent[] = []
  const sink = { write: (event: CaptureEvent) => void events.push(event) }
  return { events, recorder: new Recorder(sink, maxRecords) }
}

const RECORD = Uint8Array.of(23, 3, 3, 0, 1, 7)

describe('what a capture may have', () => {
  it('records up to the bound and no more, in the middle of a chunk, too; and says so once', () => {
    const { events, recorder } = record(3)
    const connection = recorder.open()
    const tap = connection.tap('up')
    void tap(new Uint8Array([...RECORD, ...RECORD]))
    void tap(new Uint8Array([...RECORD, ...RECORD, ...RECORD]))
    void tap(RECORD)
    recorder.open().close('end', 0, 0)
    connection.close('end', 36, 0)
    expect(events.map(({ event }) => event)).toEqual([
      'open',
      'record',
      'record',
      'record',
      'limit',
    ])
  })

  it('ends with a connection too many', () => {
    const { events, recorder } = record()
    for (let count = 0; count < MAX_CAPTURE_CONNECTIONS + 2; count += 1) recorder.open()
    expect(events).toHaveLength(MAX_CAPTURE_CONNECTIONS + 1)
    expect(events.at(-1)).toMatchObject({ event: 'limit', of: 'connections' })
  })

  it('tells of what is not TLS once, and reads no more of that direction', () => {
    const { events, recorder } = record()
    const connection = recorder.open()
    const [up, down] = [connection.tap('up'), connection.tap('down')]
    void up(Uint8Array.of(...RECORD, 71))
    void up(RECORD)
    void down(RECORD)
    expect(events.slice(1)).toMatchObject([
      { event: 'record', direction: 'up', bytes: 6 },
      { event: 'not-tls', direction: 'up', offset: 6 },
      { event: 'record', direction: 'down' },
    ])
  })
})
