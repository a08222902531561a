import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { CaptureEvent, CaptureHeader } from '../../../src/harness/capture/capture-event.ts'
import { createCaptureFile } from '../../../src/harness/capture/capture-file.ts'
import { parseCapture } from '../../../src/harness/capture/capture-parser.ts'

const onLinux = process.platform === 'linux'
const folder = mkdtempSync(join(tmpdir(), 'capture-file-'))
afterAll(() => rmSync(folder, { recursive: true }))

const HEADER: CaptureHeader = {
  ...{ format: 'anytls-capture', version: 1, to: 'a:1', started: '2026-01-01T00:00:00Z' },
}
const OPEN: CaptureEvent = { event: 'open', connection: 1, time: 0 }
const RECORD: CaptureEvent = {
  ...{ event: 'record', connection: 1, direction: 'up', time: 1, type: 23, bytes: 100 },
}

describe('a capture file', () => {
  it('takes the place of what was there, for its owner alone, and can be read while it grows', async () => {
    const path = join(folder, 'grows.jsonl')
    const file = createCaptureFile(path, HEADER)
    void file.write(OPEN)
    while (!readFileSync(path, 'utf8').includes('open')) await new Promise(setImmediate)
    expect(parseCapture(readFileSync(path, 'utf8')).connections).toHaveLength(1)
    void file.write(RECORD)
    await file.close()
    expect(parseCapture(readFileSync(path, 'utf8')).connections[0]?.records).toHaveLength(1)
    expect(statSync(path).mode & 0o077).toBe(0)

    writeFileSync(path, 'x'.repeat(10_000))
    await createCaptureFile(path, HEADER).close()
    expect(parseCapture(readFileSync(path, 'utf8')).connections).toEqual([])
  })

  it('asks to wait once a mebibyte waits for the disk, and tells when there is room', async () => {
    const path = join(folder, 'waits.jsonl')
    const file = createCaptureFile(path, HEADER)
    void file.write(OPEN)
    let written = 0
    let room: Promise<void> | undefined
    while (room === undefined && written < 100_000) {
      room = file.write(RECORD)
      written += 1
    }
    expect(written).toBeLessThan(20_000)
    await room
    expect(file.write(RECORD)).toBeUndefined()
    await file.close()
    expect(parseCapture(readFileSync(path, 'utf8')).connections[0]?.records).toHaveLength(
      written + 1,
    )
  })

  it('Bad input: a file that cannot be opened is an error at once', () => {
    expect(() => createCaptureFile(join(folder, 'none', 'x'), HEADER)).toThrow(/ENOENT/)
    expect(() => createCaptureFile(folder, HEADER)).toThrow(/EISDIR/)
  })

  it.skipIf(!onLinux)(
    'Bad input: a full disk shows as a failure; what comes then is let go (only on Linux)',
    async () => {
      const file = createCaptureFile('/dev/full', HEADER)
      await expect(file.failed).rejects.toMatchObject({ code: 'ENOSPC' })
      expect(file.write(OPEN)).toBeUndefined()
      await file.close()
    },
  )
})
