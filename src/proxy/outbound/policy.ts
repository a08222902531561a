// Whether a target may be reached, as the application's policy says.
// Must never take anything but a plain yes, in time, for one.
import { AnyTlsError } from '../../errors.ts'
import type { Address } from '../../codec/address.ts'
import { guarded, orAborted, throwLater } from '../../session/callbacks.ts'

/** What goes to a target: a connection, or datagrams. */
export type Transport = 'tcp' | 'udp'

/** Whether streams and datagrams may go to a target; see `ServeStreamOptions.allowTarget`. */
export type AllowTarget = (target: Address, transport: Transport) => boolean | Promise<boolean>

/** Whether an IP address may be dialled; see `ServeStreamOptions.allowAddress`. */
export type AllowAddress = (address: string, port: number) => boolean

/**
 * Those of `addresses` that may be dialled. What the policy throws is uncaught, once, and means no.
 *
 * @throws AnyTlsError `ERR_TARGET_REJECTED` when there were some, and none may
 */
export function allowedOf(
  addresses: readonly string[],
  port: number,
  allowAddress: AllowAddress | undefined,
): readonly string[] {
  if (allowAddress === undefined) return addresses
  const allowed = addresses.filter((address) => guarded(() => allowAddress(address, port)) === true)
  if (allowed.length === 0 && addresses.length > 0) throw new AnyTlsError('ERR_TARGET_REJECTED')
  return allowed
}

/** How long a policy may take, in ms; one that takes longer has said no. */
const POLICY_TIMEOUT = 10_000

/**
 * Asks the policy; without one all is allowed. What it throws or rejects with is uncaught, once, and means no.
 *
 * @returns the answer at once where the policy gives it at once; never throws or rejects
 */
export function askPolicy(
  allowTarget: AllowTarget | undefined,
  target: Address,
  transport: Transport,
): boolean | Promise<boolean> {
  if (allowTarget === undefined) return true
  const answer = guarded(() => allowTarget(target, transport))
  return answer instanceof Promise ? inTime(answer) : answer === true
}

/** @throws AnyTlsError rejects with `ERR_TARGET_REJECTED` */
export async function requireAllowed(
  target: Address,
  transport: Transport,
  { allowTarget }: { readonly allowTarget?: AllowTarget | undefined },
): Promise<void> {
  if (!(await askPolicy(allowTarget, target, transport)))
    throw new AnyTlsError('ERR_TARGET_REJECTED')
}

async function inTime(answer: Promise<boolean>): Promise<boolean> {
  // Also what comes too late.
  answer.catch(throwLater)
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), POLICY_TIMEOUT)
  try {
    // What is typed as a boolean may be anything in a program without types.
    return ((await orAborted(answer, late.signal)) as unknown) === true
  } catch {
    return false
  } finally {
    clearTimeout(timer)
  }
}
