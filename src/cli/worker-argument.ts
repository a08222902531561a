// How a worker process is told from all others.
// Must never import anything: the program asks for it before it knows what it is.

/** What the program is called with to be a worker of `anytls server`; it is of no use to anybody else. */
export const WORKER_ARGUMENT = 'server-worker'
