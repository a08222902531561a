// What the loopback of this machine can do.
import { networkInterfaces } from 'node:os'

/** Whether `::1` is there. */
export const hasIPv6 = Object.values(networkInterfaces())
  .flat()
  .some((entry) => entry?.address === '::1')
