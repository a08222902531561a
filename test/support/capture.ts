// A relay that captures, on a port of its own.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Address } from '../../src/codec/address.ts'
import { createCapture } from '../../src/harness/capture/capture.ts'
import type { Capture, CaptureOptions } from '../../src/harness/capture/capture.ts'

/**
 * {@link createCapture}, listening.
 *
 * @param options `listen`: where; port 0 lets the system choose
 * @returns with the port that it listens on
 * @throws the error of node:net when it cannot listen there
 */
export async function startCapture({
  listen: { host, port },
  ...options
}: CaptureOptions & { readonly listen: Address }): Promise<Capture & { readonly port: number }> {
  const capture = createCapture(options)
  capture.server.listen(port, host)
  await once(capture.server, 'listening')
  return { ...capture, port: (capture.server.address() as AddressInfo).port }
}
